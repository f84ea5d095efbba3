#!/usr/bin/env bash
# Registers the application with which administrators sign in to the page, with the app role Calendar.Admin.
# May be run again at any time: it adds what is missing and changes nothing else.
#
#   register-administrators.sh [--name NAME] [--url PAGE_URL] [--principal-id ID] [--assign USER]... [--dry-run]
#
#   --url           address of the page, once it is deployed: its redirect URI is added
#   --principal-id  object ID of the managed identity, once it is deployed: it becomes the application's credential,
#                   so that no secret is needed
#   --assign        who becomes an administrator: user principal name or object ID (default: who is signed in)
#   --dry-run       only show what would be changed
#   --azd           name, url and principal ID from the azd environment; the client ID is stored there
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

ROLE=Calendar.Admin
ROLE_ID=7b3f0f8e-4c15-4c52-9a53-1f6b1c1d8e40

name="Calendar presence (administrators)" url="" principal="" azd=false assign=()
while [ $# -gt 0 ]; do
    case $1 in
    --name) name=$2 && shift ;;
    --url) url=${2%/} && shift ;;
    --principal-id) principal=$2 && shift ;;
    --assign) assign+=("$2") && shift ;;
    --azd)
        azd=true
        name="Calendar presence (administrators, ${AZURE_ENV_NAME:?run by azd only})"
        url=${PAGE_URL:-} principal=${IDENTITY_PRINCIPAL_ID:-}
        ;;
    --dry-run) dry_run=true ;;
    *) fail "usage: $(sed -n '5s/^# *//p' "$0")" ;;
    esac
    shift
done

role="{\"id\": \"$ROLE_ID\", \"value\": \"$ROLE\", \"displayName\": \"Calendar administrator\",
  \"description\": \"Configures the calendar presence and sees its state.\",
  \"allowedMemberTypes\": [\"User\", \"Application\"], \"isEnabled\": true}"
tenant=$(az account show --query tenantId --output tsv)
client=$(find_or_create "$name" --sign-in-audience AzureADMyOrg --requested-access-token-version 2 --app-roles "[$role]")

if ! pending "$client" &&
    [ -z "$(az ad app show --id "$client" --query "appRoles[?value=='$ROLE'].id" --output tsv)" ]; then
    roles=$(az ad app show --id "$client" --query appRoles --output json)
    [ "$roles" = "[]" ] && roles="[$role]" || roles="${roles%]}, $role]"
    change "Adding the app role $ROLE" az ad app update --id "$client" --app-roles "$roles"
fi

object=$(find_or_create_principal "$client")
if pending "$client" ||
    [ "$(az ad sp show --id "$client" --query appRoleAssignmentRequired --output tsv)" != true ]; then
    change "Letting nobody sign in but those it is assigned to" \
        az ad sp update --id "$client" --set appRoleAssignmentRequired=true
fi

if [ -n "$url" ]; then
    add_redirect "$client" "$url/signed-in"
fi

if [ -n "$principal" ]; then
    found=
    pending "$client" || found=$(az ad app federated-credential list --id "$client" \
        --query "[?subject=='$principal'].name" --output tsv)
    if [ -z "$found" ]; then
        authority=$(az cloud show --query endpoints.activeDirectory --output tsv)
        change "Making the managed identity its credential" az ad app federated-credential create --id "$client" \
            --parameters "{\"name\": \"calendar-${principal%%-*}\", \"issuer\": \"${authority%/}/$tenant/v2.0\",
              \"subject\": \"$principal\", \"audiences\": [\"api://AzureADTokenExchange\"]}"
    fi
fi

graph=$(az cloud show --query endpoints.microsoftGraphResourceId --output tsv)
for user in "${assign[@]:-}"; do
    if [ -n "$user" ]; then
        user=$(az ad user show --id "$user" --query id --output tsv)
    else
        user=$(az ad signed-in-user show --query id --output tsv)
    fi
    found=
    pending "$client" || found=$(az rest --method GET --uri "${graph%/}/v1.0/users/$user/appRoleAssignments" \
        --query "value[?resourceId=='$object' && appRoleId=='$ROLE_ID'].id" --output tsv)
    [ -n "$found" ] || change "Making $user an administrator" az rest --method POST --output none \
        --uri "${graph%/}/v1.0/users/$user/appRoleAssignments" \
        --body "{\"principalId\": \"$user\", \"resourceId\": \"$object\", \"appRoleId\": \"$ROLE_ID\"}"
done

if $azd && ! pending "$client"; then
    change "Storing its ID in the azd environment" azd env set CALENDAR_ADMIN_CLIENT_ID "$client"
    change "Storing the tenant's ID there" azd env set CALENDAR_ADMIN_TENANT_ID "$tenant"
fi
printf 'administratorsClientId=%s\nadministratorsTenantId=%s\n' "$client" "$tenant"
