// The Function app, on Flex Consumption. A test holds what that plan refuses and ignores (test_flex.py).

import { GuardDeclaration, NetworkScope, PrivateNetworking, SignIn, Tags, Tuning } from '../types.bicep'
import { Names } from '../names.bicep'

param names Names
param location string
param tags Tags
param networks NetworkScope[]
param guards GuardDeclaration[]
param tune Tuning
param signInWith SignIn?
param network PrivateNetworking?

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = { name: names.identity }
resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = { name: names.storageAccount }
resource insights 'Microsoft.Insights/components@2020-02-02' existing = { name: names.insights }
resource outcomes 'Microsoft.EventGrid/topics@2025-02-15' existing = { name: names.outcomeTopic }

// What may be written: just what the service's writer role is assigned to (rights.bicep).
var writable = flatten(map(
  networks,
  one =>
    empty(one.?resourceGroups)
      ? ['/subscriptions/${one.subscriptionId}']
      : map(one.?resourceGroups ?? [], group => '/subscriptions/${one.subscriptionId}/resourceGroups/${group}')
))

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: names.plan
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: names.functionApp
  location: location
  tags: { ...tags, 'azd-service-name': 'api' } // azd finds the app by it
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: network.?functionsSubnetId
    // Event Grid cannot deliver to a private endpoint, so the app keeps its public one.
    publicNetworkAccess: 'Enabled'
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      remoteDebuggingEnabled: false
      scmIpSecurityRestrictionsUseMain: network != null
      ipSecurityRestrictionsDefaultAction: network == null ? 'Allow' : 'Deny'
      ipSecurityRestrictions: network == null
        ? []
        : [
            {
              name: 'EventGrid'
              priority: 100
              action: 'Allow'
              tag: 'ServiceTag'
              ipAddress: 'AzureEventGrid'
            }
            ...map(network.?allowedCallers ?? [], (cidr, i) => {
              name: 'caller-${i}'
              priority: 200 + i
              action: 'Allow'
              tag: 'Default'
              ipAddress: cidr
            })
          ]
    }
    functionAppConfig: {
      runtime: { name: 'python', version: '3.13' }
      scaleAndConcurrency: {
        maximumInstanceCount: 40
        instanceMemoryMB: 2048
        triggers: { http: { perInstanceConcurrency: tune.?httpConcurrency ?? 16 } }
        // Every function but those for HTTP runs, and starts cold, in instances of its own.
        alwaysReady: tune.?alwaysReady ?? false ? [{ name: 'function:on_network_change', instanceCount: 1 }] : []
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}deployment'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
    }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: {
      AZURE_CLIENT_ID: identity.properties.clientId
      AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
      AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
      AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identity.properties.clientId
      APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
      AMLFS_ALLOWED_SCOPES: join(writable, ';')
      AMLFS_READ_SCOPES: join(tune.?readScopes ?? [], ';')
      AMLFS_SIGN_IN_INSTEAD_OF_KEYS: string(signInWith.?insteadOfKeys ?? false)
      AMLFS_CLOUD: environment().name
      AMLFS_ARM_ENDPOINT: environment().resourceManager
      AMLFS_STORE: 'table'
      AMLFS_STORE__tableServiceUri: storage.properties.primaryEndpoints.table
      AMLFS_OUTCOME_TOPIC_ENDPOINT: outcomes.properties.endpoint
      AMLFS_GUARDS: string(guards)
      AMLFS_SWEEP_SCHEDULE: tune.?sweepSchedule ?? '0 */15 * * * *'
      AMLFS_REQUEST_SECONDS: string(tune.?requestSeconds ?? 90)
      AMLFS_SETTLE_SECONDS: string(tune.?settleSeconds ?? 5)
      AMLFS_CIRCUIT_SAME: string(tune.?circuitSame ?? 5)
      AMLFS_CIRCUIT_ANY: string(tune.?circuitAny ?? 30)
      AMLFS_CIRCUIT_WINDOW_SECONDS: string(tune.?circuitWindowSeconds ?? 600)
      AMLFS_DECLARED_MAY_BE_SUSPENDED: string(tune.?declaredMayBeSuspended ?? false)
      AMLFS_HISTORY_DAYS: string(tune.?historyDays ?? 90)
      AMLFS_OPERATION_DAYS: string(tune.?operationDays ?? 7)
      OTEL_EXPORTER_OTLP_ENDPOINT: tune.?otlpEndpoint ?? ''
    }
  }

  resource signInConfig 'config' = if (signInWith != null) {
    name: 'authsettingsV2'
    properties: {
      platform: { enabled: true }
      globalValidation: {
        requireAuthentication: true
        unauthenticatedClientAction: 'Return401'
        // Event Grid brings a key, no token; health says up or down to anybody.
        excludedPaths: ['/runtime/webhooks/*', '/api/health']
      }
      identityProviders: {
        azureActiveDirectory: {
          enabled: true
          registration: {
            clientId: signInWith.?clientId
            openIdIssuer: uri(environment().authentication.loginEndpoint, '${tenant().tenantId}/v2.0')
          }
          validation: {
            allowedAudiences: ['api://${signInWith.?clientId}', signInWith.?clientId ?? '']
            defaultAuthorizationPolicy: { allowedApplications: signInWith.?allowedApplications }
          }
        }
      }
      login: { tokenStore: { enabled: false } }
      httpSettings: { requireHttps: true }
    }
  }

  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }
}

// No diagnostic settings: Flex Consumption was documented not to have them. Application Insights has it all.

output hostName string = app.properties.defaultHostName
