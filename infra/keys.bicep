metadata description = 'The keys of the service and the vault that keeps them.'

@description('Makes the name unique.')
param suffix string

param location string
param tags object

@description('Object ID of the identity that may read the keys.')
param principalId string

@description('Whether the vault is reached from the Internet too.')
param open bool

@description('Where every use of a key is logged.')
param workspaceId string

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  // checkov:skip=CKV_AZURE_109:closed with privateNetwork; without it nobody gets in but by Entra ID
  // checkov:skip=CKV_AZURE_189:closed with privateNetwork
  name: 'kv-cal-${suffix}'
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    publicNetworkAccess: open ? 'Enabled' : 'Disabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: open ? 'Allow' : 'Deny'
    }
  }
}

resource log 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

module encryption 'key.bicep' = {
  name: 'key-encryption'
  params: {
    vaultName: vault.name
    name: 'encryption-keys'
    principalId: principalId
  }
}

module session 'key.bicep' = {
  name: 'key-session'
  params: {
    vaultName: vault.name
    name: 'session-keys'
    principalId: principalId
  }
}

output id string = vault.id
output encryptionKeyUri string = encryption.outputs.uri
output sessionKeyUri string = session.outputs.uri
