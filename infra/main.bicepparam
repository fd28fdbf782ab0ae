using 'main.bicep'

import { listed } from 'names.bicep'

// What azd deploys: its environment decides (azd env set AMLFS_SUBSCRIPTIONS 'id,id'), and this file, which
// is yours to change. examples/ has more.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'amlfs-guard')
param location = readEnvironmentVariable('AZURE_LOCATION', 'eastus')

var subscription = readEnvironmentVariable('AZURE_SUBSCRIPTION_ID', '00000000-0000-0000-0000-000000000001')

// Where file systems' networks are; with AMLFS_RESOURCE_GROUPS only these groups of each are written to.
param networks = map(listed(readEnvironmentVariable('AMLFS_SUBSCRIPTIONS', subscription)), id => {
  subscriptionId: id
  resourceGroups: listed(readEnvironmentVariable('AMLFS_RESOURCE_GROUPS', ''))
})
param alertEmails = listed(readEnvironmentVariable('AMLFS_ALERT_EMAILS', ''))
