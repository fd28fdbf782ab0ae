// A Logic App that hears what guards did: outcomes go from the topic into a queue, and from there into a
// workflow, which posts a summary of what needs a person to a webhook of yours (Teams, a ticket system).
//
// A queue lies between, because nothing is lost while the workflow is off, and because Event Grid delivers to a
// queue by identity. The Request trigger of a Logic App does not answer the handshake of CloudEvents.
//
// az deployment group create --resource-group GROUP-OF-THE-TOPIC --template-file infra/examples/outcomes-to-logic-app.bicep --parameters topicName=TOPIC webhook=https://…

targetScope = 'resourceGroup'

metadata name = 'AMLFS Network Guard: outcomes to a Logic App'
metadata description = 'A queue that the outcome topic delivers to, and a workflow that reads it.'

@description('The outcome topic: output AMLFS_OUTCOME_TOPIC of the deployment, in the resource group AZURE_RESOURCE_GROUP.')
param topicName string

@description('Where the workflow posts {"title", "text"} to.')
@secure()
param webhook string

@description('The outcomes that need a person.')
param outcomes string[] = [
  'amlfs.guard.blocked'
  'amlfs.guard.failed'
  'amlfs.guard.suspended'
  'amlfs.guard.driftDetected'
  'amlfs.guard.deleted'
  'amlfs.guard.reminder'
  'amlfs.guard.resolved'
]

@description('Where queue and workflow lie.')
param location string = resourceGroup().location

var unique = take(uniqueString(resourceGroup().id, topicName), 8)
var queueName = 'amlfs-outcomes'

// Storage Queue Data Message Sender and Storage Queue Data Message Processor
var senderRole = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
)
var processorRole = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  '8a0f0c08-91a1-4084-bc3d-661d67233fed'
)

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = { name: topicName }

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: 'amlfsout${unique}'
  location: location
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    networkAcls: { defaultAction: 'Allow', bypass: 'AzureServices' } // opened by identity alone
  }

  resource queues 'queueServices' = {
    name: 'default'

    resource queue 'queues' = { name: queueName }
  }
}

resource sending 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage::queues::queue
  name: guid(storage::queues::queue.id, topic.id, senderRole)
  properties: {
    roleDefinitionId: senderRole
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

resource subscription 'Microsoft.EventGrid/topics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'to-logic-app'
  dependsOn: [sending]
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0' // the topic takes CloudEvents and can deliver nothing else
    deliveryWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      destination: {
        endpointType: 'StorageQueue'
        properties: {
          resourceId: storage.id
          queueName: storage::queues::queue.name
        }
      }
    }
    filter: { includedEventTypes: outcomes }
    retryPolicy: { maxDeliveryAttempts: 30, eventTimeToLiveInMinutes: 1440 }
  }
}

resource connection 'Microsoft.Web/connections@2016-06-01' = {
  name: 'amlfs-outcome-queue'
  location: location
  properties: {
    displayName: 'AMLFS outcomes'
    api: { id: subscriptionResourceId('Microsoft.Web/locations/managedApis', location, 'azurequeues') }
    // not in the published type; it is what the designer writes for an identity
    #disable-next-line BCP089
    parameterValueSet: { name: 'managedIdentityAuth', values: {} }
  }
}

resource workflow 'Microsoft.Logic/workflows@2019-05-01' = {
  name: 'logic-amlfs-outcomes-${unique}'
  location: location
  identity: { type: 'SystemAssigned' }
  properties: {
    state: 'Enabled'
    parameters: {
      '$connections': {
        value: {
          azurequeues: {
            connectionId: connection.id
            connectionName: connection.name
            connectionProperties: { authentication: { type: 'ManagedServiceIdentity' } }
            id: connection.properties.api.id
          }
        }
      }
      account: { value: storage.name }
      webhook: { value: webhook }
    }
    definition: json(loadTextContent('outcomes-to-logic-app.workflow.json'))
  }
}

resource processing 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage::queues::queue
  name: guid(storage::queues::queue.id, workflow.id, processorRole)
  properties: {
    roleDefinitionId: processorRole
    principalId: workflow.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

@description('The storage account that the workflow names.')
output storageAccount string = storage.name
