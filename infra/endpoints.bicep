metadata description = 'Private endpoints for storage and keys, and the DNS zones that lead the virtual network to them.'

@description('Makes the names unique.')
param suffix string

param location string
param tags object

@description('Resource ID of the virtual network.')
param networkId string

@description('Resource ID of the subnet of the endpoints.')
param subnetId string

@description('Resource ID of the storage account.')
param storageId string

@description('Resource ID of the vault.')
param vaultId string

var endpoints = [
  {
    service: 'blob'
    target: storageId
    zone: 'privatelink.blob.${environment().suffixes.storage}'
  }
  {
    service: 'queue'
    target: storageId
    zone: 'privatelink.queue.${environment().suffixes.storage}'
  }
  {
    service: 'table'
    target: storageId
    zone: 'privatelink.table.${environment().suffixes.storage}'
  }
  {
    service: 'vault'
    target: vaultId
    zone: 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
  }
]

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for each in endpoints: {
    name: 'pe-calendar-${each.service}-${suffix}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: subnetId
      }
      privateLinkServiceConnections: [
        {
          name: each.service
          properties: {
            privateLinkServiceId: each.target
            groupIds: [
              each.service
            ]
          }
        }
      ]
    }
  }
]

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = [
  for each in endpoints: {
    name: each.zone
    location: 'global'
    tags: tags
  }
]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [
  for (each, n) in endpoints: {
    parent: zone[n]
    name: 'calendar-${suffix}'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: networkId
      }
    }
  }
]

resource group 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for (each, n) in endpoints: {
    parent: endpoint[n]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: each.service
          properties: {
            privateDnsZoneId: zone[n].id
          }
        }
      ]
    }
  }
]
