using 'main.bicep'

import { listed } from 'names.bicep'

// What azd deploys: its environment decides (azd env set AMLFS_SUBSCRIPTIONS 'id,id'), and this file, which
// is yours to change. examples/ has more.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'amlfs-guard')
param location = readEnvironmentVariable('AZURE_LOCATION', 'eastus')

var subscription = readEnvironmentVariable('AZURE_SUBSCRIPTION_ID', '00000000-0000-0000-0000-000000000001')

// Where the file systems' networks are, and which resource groups of each subscription may be written to.
// Without AMLFS_RESOURCE_GROUPS the deployment fails, unless AMLFS_WHOLE_SUBSCRIPTION is true.
param networks = map(listed(readEnvironmentVariable('AMLFS_SUBSCRIPTIONS', subscription)), id => {
  subscriptionId: id
  resourceGroups: listed(readEnvironmentVariable('AMLFS_RESOURCE_GROUPS', ''))
  wholeSubscription: toLower(readEnvironmentVariable('AMLFS_WHOLE_SUBSCRIPTION', 'false')) == 'true'
})
param runbooks = readEnvironmentVariable('AMLFS_RUNBOOKS', 'docs/operations.md')
param alertEmails = listed(readEnvironmentVariable('AMLFS_ALERT_EMAILS', ''))
