metadata description = 'The function app on Flex Consumption, with the app settings that docs/settings.md lists.'

@description('Makes the names unique.')
param suffix string

param location string
param tags object

@description('Resource ID of the identity.')
param identityId string

@description('Client ID of the identity.')
param identityClientId string

param blobEndpoint string
param queueEndpoint string
param tableEndpoint string

@description('Container in which the code is published.')
param deploymentContainer string

@description('Where the keys are, without their version.')
param encryptionKeyUri string
param sessionKeyUri string

@description('Connection string of Application Insights: an address, no secret.')
param insightsConnection string

param administratorsClientId string
param administratorsTenantId string
param publicUrl string
param allowedAddresses array

@description('Subnet that the app reaches its surroundings through, or empty.')
param subnetId string

param zoneRedundant bool
param maximumInstances int
param instanceMemory int
param alwaysReady int

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  // checkov:skip=CKV_AZURE_225:zones are the administrator's choice: not every region has them
  name: 'plan-calendar-${suffix}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  // checkov:skip=CKV_AZURE_222:Exchange calls from outside; allowedAddresses narrows who may
  // checkov:skip=CKV_AZURE_17:Exchange shows no client certificate
  // checkov:skip=CKV_AZURE_212:Flex Consumption has no fixed number of instances; alwaysReady sets the least
  // checkov:skip=CKV_AZURE_213:Flex Consumption replaces failed instances itself
  name: 'func-calendar-${suffix}'
  location: location
  tags: union(tags, {
    'azd-service-name': 'calendar'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    publicNetworkAccess: 'Enabled'
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${blobEndpoint}${deploymentContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstances
        instanceMemoryMB: instanceMemory
        alwaysReady: alwaysReady == 0 ? [] : [
          {
            name: 'http'
            instanceCount: alwaysReady
          }
        ]
        triggers: {
          http: {
            perInstanceConcurrency: 50
          }
        }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      remoteDebuggingEnabled: false
      ipSecurityRestrictionsDefaultAction: empty(allowedAddresses) ? 'Allow' : 'Deny'
      ipSecurityRestrictions: map(range(0, length(allowedAddresses)), n => {
        name: 'allowed-${n}'
        action: 'Allow'
        ipAddress: allowedAddresses[n]
        priority: 100 + n
      })
      // The code is published from elsewhere, by somebody who has signed in.
      scmIpSecurityRestrictionsUseMain: false
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2024-04-01' = {
  // checkov:skip=CKV_AZURE_66:not there on Flex Consumption
  // checkov:skip=CKV_AZURE_63:calls are logged in Application Insights; their addresses hold secrets
  // checkov:skip=CKV_AZURE_65:not there on Flex Consumption
  // checkov:skip=CKV_AZURE_222:see the site
  // checkov:skip=CKV_AZURE_80:no .NET
  // checkov:skip=CKV_AZURE_13:administrators sign in with code of this project's, Exchange by the address
  // checkov:skip=CKV_AZURE_88:no file share is used
  parent: app
  name: 'appsettings'
  properties: {
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identityClientId
    AzureWebJobsStorage__blobServiceUri: blobEndpoint
    AzureWebJobsStorage__queueServiceUri: queueEndpoint
    AzureWebJobsStorage__tableServiceUri: tableEndpoint
    AzureWebJobsDisableHomepage: 'true'
    APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnection
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'Authorization=AAD;ClientId=${identityClientId}'
    PYTHON_ENABLE_OPENTELEMETRY: 'true'
    CALENDAR_ENCRYPTION_KEYS: '@Microsoft.KeyVault(SecretUri=${encryptionKeyUri})'
    CALENDAR_SESSION_KEY: '@Microsoft.KeyVault(SecretUri=${sessionKeyUri})'
    CALENDAR_CALLBACK_URL: empty(publicUrl) ? 'https://${app.properties.defaultHostName}' : publicUrl
    CALENDAR_ADMIN_SIGN_IN: 'entra'
    CALENDAR_ADMIN_CLIENT_ID: administratorsClientId
    CALENDAR_ADMIN_TENANT_ID: administratorsTenantId
  }
}

// Nobody publishes code with a user name and a password.
resource publishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = [
  for way in ['ftp', 'scm']: {
    parent: app
    name: way
    properties: {
      allow: false
    }
  }
]

output name string = app.name
output url string = empty(publicUrl) ? 'https://${app.properties.defaultHostName}' : publicUrl
