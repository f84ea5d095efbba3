#!/usr/bin/env bash
# Registers the application that reads calendars of Exchange Online as itself.
# May be run again at any time: it adds what is missing and changes nothing else.
#
#   register-exchange-app-only.sh [--name NAME] [--all-mailboxes | --group DN] [--dry-run]
#
#   --all-mailboxes  ask for full_access_as_app, which opens every mailbox, and consent to it
#   --group          distinguished name of the group whose members' mailboxes are opened: for the commands that are shown
#   --dry-run        only show what would be changed
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

FULL_ACCESS_AS_APP=dc890d15-9560-4a4c-9b7f-a736ec74ec40

name="Calendar presence (Exchange)" all=false group="CN=..."
while [ $# -gt 0 ]; do
    case $1 in
    --name) name=$2 && shift ;;
    --all-mailboxes) all=true ;;
    --group) group=$2 && shift ;;
    --dry-run) dry_run=true ;;
    *) fail "usage: $(sed -n '5s/^# *//p' "$0")" ;;
    esac
    shift
done

tenant=$(az account show --query tenantId --output tsv)
client=$(find_or_create "$name" --sign-in-audience AzureADMyOrg)
object=$(find_or_create_principal "$client")
if $all; then
    add_permission "$client" "$FULL_ACCESS_AS_APP" Role
else
    say "Run in Exchange Online PowerShell, to open the mailboxes of one group:" \
        $'\n'"    New-ServicePrincipal -AppId $client -ObjectId $object -DisplayName 'Calendar presence'" \
        $'\n'"    New-ManagementScope -Name 'Calendar presence' -RecipientRestrictionFilter \"MemberOfGroup -eq '$group'\"" \
        $'\n'"    New-ManagementRoleAssignment -Name 'Calendar presence' -Role 'Application EWS.AccessAsApp' -App $client" \
        "-CustomResourceScope 'Calendar presence'"
fi
say "Then allow it to use EWS: infra/scripts/allow-ews.ps1 -ClientId $client"
secret=$(make_secret "$client" calendar)
printf 'client ID=%s\ntenant ID=%s\n' "$client" "$tenant"
[ -z "$secret" ] || printf 'client secret=%s\n' "$secret"
