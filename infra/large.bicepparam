// About 100 000 users: notifications are answered by instances that never sleep, and an outage of a zone is no outage.
using 'main.bicep'

param administratorsClientId = readEnvironmentVariable('CALENDAR_ADMIN_CLIENT_ID')
param zoneRedundant = true
param maximumInstances = 100
param instanceMemory = 2048
param alwaysReady = 2
param storageRedundancy = 'Standard_ZRS'
param logRetentionDays = 90
param logLimit = 20
param failingUsers = 500
