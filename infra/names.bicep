// What every resource is called, so that one module can name what another makes; and checks of parameters.

import { NetworkScope, PrivateNetworking } from 'types.bicep'

@export()
type Names = {
  resourceGroup: string
  identity: string
  workspace: string
  insights: string
  actionGroup: string
  @minLength(3)
  @maxLength(24)
  storageAccount: string
  outcomeTopic: string
  plan: string
  functionApp: string
  eventGroup: string
  eventSubscription: string
  @description('Stands before the name of an alert.')
  alert: string
  @description('Stands before the name of a private endpoint.')
  privateEndpoint: string
  @description('Stands before the name of a system topic.')
  systemTopic: string
}

@export()
@description('The names of a deployment: its own name, and six characters that tell it from its namesakes elsewhere.')
func namesOf(environmentName string, subscriptionId string) Names =>
  named(environmentName, take(uniqueString(subscriptionId, environmentName), 6))

func named(environmentName string, unique string) Names => {
  resourceGroup: 'rg-${environmentName}-${unique}'
  identity: 'id-${environmentName}-${unique}'
  workspace: 'log-${environmentName}-${unique}'
  insights: 'appi-${environmentName}-${unique}'
  actionGroup: 'ag-${environmentName}-${unique}'
  storageAccount: take('amlfs${unique}${toLower(replace(environmentName, '-', ''))}', 24)
  outcomeTopic: 'evgt-${environmentName}-${unique}'
  plan: 'plan-${environmentName}-${unique}'
  functionApp: 'func-${environmentName}-${unique}'
  eventGroup: 'rg-${environmentName}-events-${unique}'
  eventSubscription: 'amlfs-guard-${environmentName}-${unique}'
  alert: 'alert-${environmentName}-${unique}'
  privateEndpoint: 'pep-${environmentName}-${unique}'
  systemTopic: 'evgst-${environmentName}-${unique}'
}

@export()
@description('The networks, if each says what of it may be written; otherwise the deployment fails here.')
func scoped(networks NetworkScope[]) NetworkScope[] =>
  empty(filter(networks, one => empty(one.?resourceGroups) != (one.?wholeSubscription ?? false)))
    ? networks
    : fail('Say where NSGs and subnets may be written. Either name the resource groups (AMLFS_RESOURCE_GROUPS, or resourceGroups of each network), or choose the whole subscription (AMLFS_WHOLE_SUBSCRIPTION=true, or wholeSubscription: true)')

@export()
@description('The private networking, if Flex Consumption can use it; otherwise the deployment fails here.')
func usable(network PrivateNetworking?) PrivateNetworking? =>
  network == null
    ? null
    : contains(last(split(network!.functionsSubnetId, '/')), '_')
        ? fail('network.functionsSubnetId: Flex Consumption does not join a subnet with an underscore in its name. Use a subnet whose name has none')
        : toLower(network!.functionsSubnetId) == toLower(network!.endpointsSubnetId)
            ? fail('network.endpointsSubnetId: a subnet that is delegated to the app holds no private endpoints. Use another subnet')
            : empty(network!.allowedCallers)
                ? fail('network.allowedCallers: nobody could call the service or deploy its code. Name at least the address from which you deploy')
                : network

@export()
@description('Whether a location is one of the public cloud. The location says it, because a snapshot does not know the environment.')
func inPublicCloud(location string) bool =>
  empty(filter(['usgov', 'usdod', 'china'], start => startsWith(toLower(location), start)))

@export()
@description('The words of a text in which commas part them.')
func listed(text string) string[] => filter(map(split(text, ','), word => trim(word)), word => !empty(word))
