// Private endpoints of the storage account, for the app's own traffic.

import { PrivateNetworking, Tags } from '../types.bicep'
import { Names } from '../names.bicep'

param names Names
param location string
param tags Tags
param network PrivateNetworking

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = { name: names.storageAccount }

resource endpoints 'Microsoft.Network/privateEndpoints@2024-07-01' = [
  for kind in ['blob', 'queue', 'table']: {
    name: '${names.privateEndpoint}-${kind}'
    location: location
    tags: tags
    properties: {
      subnet: { id: network.endpointsSubnetId }
      privateLinkServiceConnections: [
        {
          name: kind
          properties: { privateLinkServiceId: storage.id, groupIds: [kind] }
        }
      ]
    }
  }
]

resource zones 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-07-01' = [
  for (kind, i) in ['blob', 'queue', 'table']: {
    parent: endpoints[i]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [{ name: kind, properties: { privateDnsZoneId: network.dnsZoneIds[kind] } }]
    }
  }
]
