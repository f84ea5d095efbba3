<#
.SYNOPSIS
Lets the application use EWS in Exchange Online: adds it to the organization's list, then switches EWS on.
.DESCRIPTION
Run it in Exchange Online PowerShell (Connect-ExchangeOnline). Writing the list replaces it: therefore it is read,
appended to and written back. It is one text with commas, and empty unless it is asked for with
-RetrieveEwsOperationAccessPolicy. The list comes first, because EWS that is on with an empty list is closed to all. The
list takes up to 24 hours to count, the switch about one. With -WhatIf it only shows what it would do; run again it
changes nothing.
.EXAMPLE
./allow-ews.ps1 -ClientId 11111111-2222-3333-4444-555555555555 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)]
    [guid] $ClientId
)

$ErrorActionPreference = 'Stop'
$organization = Get-OrganizationConfig
$policy = Get-OrganizationConfig -RetrieveEwsOperationAccessPolicy
if ($null -eq $policy -or $null -eq $policy.PSObject.Properties['EwsAllowedAppIDs']) {
    throw 'The list of applications cannot be read. Nothing is changed: writing it would lose those on it.'
}
$allowed = @($policy.EwsAllowedAppIDs | ForEach-Object { "$_" -split '[,;\s]+' } | Where-Object { $_ })

if ($allowed -contains "$ClientId") {
    Write-Output "$ClientId is on the list already."
}
elseif ($PSCmdlet.ShouldProcess("$($allowed.Count) applications on the list", "Add $ClientId")) {
    Set-OrganizationConfig -EwsAllowedAppIDs (($allowed + "$ClientId") -join ',')
    Write-Output "$ClientId is added to the list."
}

if ($organization.EwsEnabled -eq $true) {
    Write-Output 'EWS is on already.'
}
elseif ($PSCmdlet.ShouldProcess('the organization', 'Switch EWS on')) {
    Set-OrganizationConfig -EwsEnabled $true
    Write-Output 'EWS is switched on.'
}
