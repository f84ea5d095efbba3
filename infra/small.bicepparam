// About 100 users: everything sleeps when nothing happens.
using 'main.bicep'

param administratorsClientId = readEnvironmentVariable('CALENDAR_ADMIN_CLIENT_ID')
param maximumInstances = 10
param instanceMemory = 512
param storageRedundancy = 'Standard_LRS'
param logRetentionDays = 30
param logLimit = 1
param failingUsers = 5
