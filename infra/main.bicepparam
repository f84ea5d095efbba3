// What `azd up` deploys: the values of the azd environment, and else those for some hundred users.
using 'main.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'prod')
param location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')
param administratorsClientId = readEnvironmentVariable('CALENDAR_ADMIN_CLIENT_ID')
param administratorsTenantId = readEnvironmentVariable('CALENDAR_ADMIN_TENANT_ID')
param publicUrl = readEnvironmentVariable('CALENDAR_PUBLIC_URL', '')
param alertAddresses = json(readEnvironmentVariable('CALENDAR_ALERT_ADDRESSES', '[]'))
param allowedAddresses = json(readEnvironmentVariable('CALENDAR_ALLOWED_ADDRESSES', '[]'))
param privateNetwork = bool(readEnvironmentVariable('CALENDAR_PRIVATE_NETWORK', 'false'))
param maximumInstances = int(readEnvironmentVariable('CALENDAR_MAXIMUM_INSTANCES', '40'))
param alwaysReady = int(readEnvironmentVariable('CALENDAR_ALWAYS_READY', '0'))
