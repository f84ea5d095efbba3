metadata description = 'The whole service in one resource group: function app, storage, keys, monitoring, alerts.'

targetScope = 'resourceGroup'

@description('Where everything is placed. Flex Consumption has to be offered there: az functionapp list-flexconsumption-locations.')
param location string = resourceGroup().location

@description('Distinguishes several deployments in one resource group, for example prod and test.')
@minLength(1)
@maxLength(20)
param environmentName string = 'prod'

@description('Tags of all resources.')
param tags object = {}

@description('Application (client) ID of the app registration with which administrators sign in. See infra/scripts/register-administrators.sh.')
@minLength(36)
@maxLength(36)
param administratorsClientId string

@description('Directory (tenant) ID of that app registration.')
@minLength(36)
@maxLength(36)
param administratorsTenantId string = tenant().tenantId

@description('Public base URL where a domain name of your own leads to the function app, without a slash at the end. Empty: the name that Azure gives it.')
@maxLength(200)
param publicUrl string = ''

@description('Address ranges that may reach the page and the callback, such as 203.0.113.0/24. Empty: everybody. Exchange must be among them.')
@maxLength(200)
param allowedAddresses array = []

@description('Who is told of alerts. Empty: alerts are shown in the portal only.')
@maxLength(20)
param alertAddresses array = []

@description('Whether the function app is joined to a virtual network, and storage and keys are reached through private endpoints alone.')
param privateNetwork bool = false

@description('Address range of that virtual network, at least a /25.')
param networkRange string = '10.90.0.0/24'

@description('Whether the instances are spread over the zones of the region, where it has zones.')
param zoneRedundant bool = false

@description('The most instances that run side by side.')
@minValue(1)
@maxValue(1000)
param maximumInstances int = 40

@description('Megabytes of memory of an instance.')
@allowed([
  512
  2048
  4096
])
param instanceMemory int = 2048

@description('Instances for notifications and the page that never sleep. They cost all day; without one the first call after a pause takes seconds.')
@minValue(0)
@maxValue(20)
param alwaysReady int = 0

@description('Copies of the state: in one building (LRS), in three zones (ZRS), or also in another region (GZRS).')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GZRS'
])
param storageRedundancy string = 'Standard_ZRS'

@description('Days for which logs and measurements are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Gigabytes of logs a day after which nothing more is taken until midnight, so that an outage does not become expensive. -1: no limit.')
@minValue(-1)
@maxValue(500)
param logLimit int = 2

@description('Users that fail at the same time before an alert is raised.')
@minValue(1)
param failingUsers int = 10

var suffix = uniqueString(resourceGroup().id, environmentName)

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-calendar-${suffix}'
  location: location
  tags: tags
}

module monitoring 'monitoring.bicep' = {
  name: 'monitoring'
  params: {
    suffix: suffix
    location: location
    tags: tags
    principalId: identity.properties.principalId
    retentionDays: logRetentionDays
    limit: logLimit
  }
}

module network 'network.bicep' = if (privateNetwork) {
  name: 'network'
  params: {
    suffix: suffix
    location: location
    tags: tags
    range: networkRange
  }
}

module storage 'storage.bicep' = {
  name: 'storage'
  params: {
    suffix: suffix
    location: location
    tags: tags
    principalId: identity.properties.principalId
    redundancy: storageRedundancy
    open: !privateNetwork
  }
}

module keys 'keys.bicep' = {
  name: 'keys'
  params: {
    suffix: suffix
    location: location
    tags: tags
    principalId: identity.properties.principalId
    open: !privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

module endpoints 'endpoints.bicep' = if (privateNetwork) {
  name: 'endpoints'
  params: {
    suffix: suffix
    location: location
    tags: tags
    networkId: privateNetwork ? network!.outputs.id : ''
    subnetId: privateNetwork ? network!.outputs.endpointSubnetId : ''
    storageId: storage.outputs.id
    vaultId: keys.outputs.id
  }
}

module function 'function.bicep' = {
  name: 'function'
  params: {
    suffix: suffix
    location: location
    tags: tags
    identityId: identity.id
    identityClientId: identity.properties.clientId
    blobEndpoint: storage.outputs.blobEndpoint
    queueEndpoint: storage.outputs.queueEndpoint
    tableEndpoint: storage.outputs.tableEndpoint
    deploymentContainer: storage.outputs.deploymentContainer
    encryptionKeyUri: keys.outputs.encryptionKeyUri
    sessionKeyUri: keys.outputs.sessionKeyUri
    insightsConnection: monitoring.outputs.insightsConnection
    administratorsClientId: administratorsClientId
    administratorsTenantId: administratorsTenantId
    publicUrl: publicUrl
    allowedAddresses: allowedAddresses
    subnetId: privateNetwork ? network!.outputs.functionSubnetId : ''
    zoneRedundant: zoneRedundant
    maximumInstances: maximumInstances
    instanceMemory: instanceMemory
    alwaysReady: alwaysReady
  }
  dependsOn: [
    endpoints
  ]
}

module alerts 'alerts.bicep' = {
  name: 'alerts'
  params: {
    suffix: suffix
    location: location
    tags: tags
    insightsId: monitoring.outputs.insightsId
    addresses: alertAddresses
    failingUsers: failingUsers
  }
}

@description('The page for administrators.')
output PAGE_URL string = function.outputs.url

@description('The base of the addresses to which Exchange sends notifications.')
output CALLBACK_BASE_URL string = function.outputs.url

@description('The function app, for publishing the code.')
output FUNCTION_APP_NAME string = function.outputs.name

@description('Client ID of the managed identity.')
output IDENTITY_CLIENT_ID string = identity.properties.clientId

@description('Object ID of the managed identity: the subject of the federated credential.')
output IDENTITY_PRINCIPAL_ID string = identity.properties.principalId
