// Has a system topic tell the service of what concerns it, and nothing else.

import { Names } from '../names.bicep'

param names Names
param serviceSubscriptionId string
param topicName string

resource app 'Microsoft.Web/sites@2024-11-01' existing = {
  scope: resourceGroup(serviceSubscriptionId, names.resourceGroup)
  name: names.functionApp

  resource function 'functions' existing = { name: 'on_network_change' }
}

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  scope: resourceGroup(serviceSubscriptionId, names.resourceGroup)
  name: names.storageAccount
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = { name: topicName }

module deadLetterRight 'dead-letter-right.bicep' = {
  scope: resourceGroup(serviceSubscriptionId, names.resourceGroup)
  params: {
    names: names
    topicId: topic.id
    principalId: topic.identity.principalId
  }
}

resource subscription 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: names.eventSubscription
  dependsOn: [deadLetterRight]
  properties: {
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: app::function.id
        maxEventsPerBatch: 1
        preferredBatchSizeInKilobytes: 64
      }
    }
    eventDeliverySchema: 'EventGridSchema'
    filter: {
      includedEventTypes: [
        'Microsoft.Resources.ResourceWriteSuccess'
        'Microsoft.Resources.ResourceDeleteSuccess'
      ]
      advancedFilters: [
        {
          operatorType: 'StringIn'
          key: 'data.operationName'
          values: [
            'Microsoft.Network/networkSecurityGroups/write'
            'Microsoft.Network/networkSecurityGroups/delete'
            'Microsoft.Network/networkSecurityGroups/securityRules/write'
            'Microsoft.Network/networkSecurityGroups/securityRules/delete'
            'Microsoft.Network/virtualNetworks/write'
            'Microsoft.Network/virtualNetworks/delete'
            'Microsoft.Network/virtualNetworks/subnets/write'
            'Microsoft.Network/virtualNetworks/subnets/delete'
            'Microsoft.Network/virtualNetworks/virtualNetworkPeerings/write'
            'Microsoft.Network/virtualNetworks/virtualNetworkPeerings/delete'
            'Microsoft.StorageCache/amlFilesystems/write'
            'Microsoft.StorageCache/amlFilesystems/delete'
          ]
        }
      ]
    }
    retryPolicy: {
      maxDeliveryAttempts: 30
      eventTimeToLiveInMinutes: 1440
    }
    deadLetterWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: storage.id
          blobContainerName: 'dead-letters'
        }
      }
    }
  }
}
