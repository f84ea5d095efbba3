#!/usr/bin/env bash
# Registers the application with which one account signs in to Exchange.
# May be run again at any time: it adds what is missing and changes nothing else.
#
#   register-exchange-delegated.sh --redirect-uri URI [--name NAME] [--dry-run]
#
#   --redirect-uri  as the page shows it under Configuration, Exchange
#   --dry-run       only show what would be changed
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

EWS_ACCESS_AS_USER_ALL=3b5f3d61-589b-4a3c-a359-5dd4b5ee5bd5

name="Calendar presence (Exchange, delegated)" uri=""
while [ $# -gt 0 ]; do
    case $1 in
    --name) name=$2 && shift ;;
    --redirect-uri) uri=$2 && shift ;;
    --dry-run) dry_run=true ;;
    *) uri="" && break ;;
    esac
    shift
done
[ -n "$uri" ] || fail "usage: $(sed -n '5s/^# *//p' "$0")"

tenant=$(az account show --query tenantId --output tsv)
client=$(find_or_create "$name" --sign-in-audience AzureADMyOrg)
find_or_create_principal "$client" >/dev/null
add_redirect "$client" "$uri"
add_permission "$client" "$EWS_ACCESS_AS_USER_ALL" Scope
secret=$(make_secret "$client" calendar)
printf 'client ID=%s\ntenant ID=%s\n' "$client" "$tenant"
[ -z "$secret" ] || printf 'client secret=%s\n' "$secret"
