metadata description = 'A virtual network: one subnet for the function app, one for the private endpoints.'

@description('Makes the name unique.')
param suffix string

param location string
param tags object

@description('Address range, halved between the two subnets.')
param range string

var half = int(split(range, '/')[1]) + 1

resource rules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: 'nsg-calendar-${suffix}'
  location: location
  tags: tags
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: 'vnet-calendar-${suffix}'
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        range
      ]
    }
    subnets: [
      {
        name: 'functions'
        properties: {
          addressPrefix: cidrSubnet(range, half, 0)
          networkSecurityGroup: {
            id: rules.id
          }
          delegations: [
            {
              name: 'functions'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(range, half, 1)
          networkSecurityGroup: {
            id: rules.id
          }
        }
      }
    ]
  }
}

output id string = network.id
output functionSubnetId string = '${network.id}/subnets/functions'
output endpointSubnetId string = '${network.id}/subnets/endpoints'
