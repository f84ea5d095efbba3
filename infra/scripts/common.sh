# What the registrations share. Sourced; needs the Azure CLI, signed in (az login).
# shellcheck shell=bash
# Every change goes through `change`, so that --dry-run shows all and changes nothing.
set -euo pipefail

dry_run=false
EXCHANGE=00000002-0000-0ff1-ce00-000000000000
PENDING="<client ID>"

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "$@"
    exit 1
}

# Says what is changed, and changes it: change "what" command arguments...
change() {
    say "$1"
    shift
    if $dry_run; then
        say "    would run: $(printf '%q ' "$@")"
    else
        "$@"
    fi
}

# The client ID of the application with this name; makes it if there is none: find_or_create name arguments...
find_or_create() {
    local name=$1 found
    shift
    found=$(az ad app list --display-name "$name" --query "[?displayName=='$name'].appId" --output tsv)
    case $found in
    *$'\n'*) fail "Several applications are called $name. Choose another name with --name, or delete one." ;;
    "")
        found=$(change "Registering $name" az ad app create --display-name "$name" "$@" --query appId --output tsv)
        found=${found:-$PENDING}
        ;;
    *) say "Registered already: $name" ;;
    esac
    printf '%s\n' "$found"
}

# Whether the application is only shown, not there yet.
pending() {
    [ "$1" = "$PENDING" ]
}

# The object ID of the enterprise application of a client ID; makes it if there is none.
find_or_create_principal() {
    local found=
    pending "$1" || found=$(az ad sp list --filter "appId eq '$1'" --query "[].id" --output tsv)
    [ -n "$found" ] || found=$(change "Making its enterprise application" az ad sp create --id "$1" --query id --output tsv)
    printf '%s\n' "${found:-<object ID>}"
}

# Adds an address that Entra ID may answer to, and keeps the others: add_redirect client address
add_redirect() {
    local address uris=()
    if ! pending "$1"; then
        while read -r address; do
            [ -z "$address" ] || uris+=("$address")
        done < <(az ad app show --id "$1" --query "web.redirectUris[]" --output tsv)
    fi
    for address in "${uris[@]}"; do
        [ "$address" != "$2" ] || return 0
    done
    change "Adding the redirect URI $2" az ad app update --id "$1" --web-redirect-uris "${uris[@]}" "$2"
}

# Asks for a permission of Exchange and consents to it: add_permission client permission Role|Scope
add_permission() {
    local found=
    pending "$1" || found=$(az ad app permission list --id "$1" \
        --query "[?resourceAppId=='$EXCHANGE'].resourceAccess[].id" --output tsv)
    case $'\n'$found$'\n' in
    *$'\n'"$2"$'\n'*) return 0 ;;
    esac
    change "Asking for the permission" az ad app permission add --id "$1" --api "$EXCHANGE" --api-permissions "$2=$3"
    change "Consenting to it for the organization" az ad app permission admin-consent --id "$1"
}

# Makes a client secret where there is none and prints it, once: make_secret client name
make_secret() {
    local found=
    pending "$1" || found=$(az ad app credential list --id "$1" --query "[?displayName=='$2'].keyId" --output tsv)
    if [ -n "$found" ]; then
        say "It has a secret already, which is never shown again. Another one: az ad app credential reset --id $1 --append"
        return 0
    fi
    change "Making a client secret, valid for a year" az ad app credential reset --id "$1" --append \
        --display-name "$2" --years 1 --query password --output tsv
}
