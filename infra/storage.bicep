metadata description = 'The state: tables, queues, and the container of the code. Nobody gets in with a key.'

@description('Makes the name unique.')
param suffix string

param location string
param tags object

@description('Object ID of the identity that reads and writes.')
param principalId string

@description('Name of the redundancy.')
param redundancy string

@description('Whether the account is reached from the Internet too.')
param open bool

var tables = [
  'agendas'
  'audit'
  'budget'
  'checks'
  'config'
  'counters'
  'due'
  'health'
  'leases'
  'listing'
  'outbox'
  'recordings'
  'tokens'
  'users'
]

var queues = [
  'checks'
  'configure'
  'directory'
  'overdue'
  'publish'
  'subscribe'
  'sync'
]

var roles = {
  // The Functions host keeps its locks, its keys and the code in blobs, and makes containers itself.
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  // checkov:skip=CKV_AZURE_35:closed with privateNetwork; without it nobody gets in but by Entra ID
  // checkov:skip=CKV_AZURE_206:the redundancy is the administrator's choice: three zones by default
  // checkov:skip=CKV_AZURE_43:stcal and 13 letters and digits
  name: 'stcal${suffix}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: redundancy
  }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: open ? 'Enabled' : 'Disabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: open ? 'Allow' : 'Deny'
    }
    encryption: {
      requireInfrastructureEncryption: true
      keySource: 'Microsoft.Storage'
      services: {
        // Only so are queues and tables encrypted with the key of the account.
        queue: {
          keyType: 'Account'
        }
        table: {
          keyType: 'Account'
        }
      }
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource deployment 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: 'deployment'
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' = [
  for name in concat(queues, map(queues, name => '${name}-poison')): {
    parent: queueService
    name: name
  }
]

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource table 'Microsoft.Storage/storageAccounts/tableServices/tables@2024-01-01' = [
  for name in tables: {
    parent: tableService
    name: name
  }
]

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in items(roles): {
    name: guid(account.id, principalId, role.value)
    scope: account
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.value)
      principalId: principalId
      principalType: 'ServicePrincipal'
    }
  }
]

output id string = account.id
output blobEndpoint string = account.properties.primaryEndpoints.blob
output queueEndpoint string = account.properties.primaryEndpoints.queue
output tableEndpoint string = account.properties.primaryEndpoints.table
output deploymentContainer string = deployment.name
