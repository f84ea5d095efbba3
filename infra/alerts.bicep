metadata description = 'Who is told of what: the rules of alerts.json, and a workbook that shows the numbers.'

@description('Makes the names unique.')
param suffix string

param location string
param tags object

@description('Resource ID of Application Insights, whose tables the queries name.')
param insightsId string

@description('E-mail addresses that are told.')
param addresses array

@description('Users that fail at the same time before an alert is raised.')
param failingUsers int

// Each rule stands for a runbook of the same name in docs/operations.md.
var rules = loadJsonContent('alerts.json')

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(addresses)) {
  name: 'ag-calendar-${suffix}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'calendar'
    enabled: true
    emailReceivers: map(addresses, address => {
      name: address
      emailAddress: address
      useCommonAlertSchema: true
    })
  }
}

resource rule 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for each in rules: {
    name: 'calendar-${each.name}-${suffix}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Calendar: ${each.title}'
      description: '${each.meaning} Runbook: docs/operations.md#${each.name}'
      severity: each.severity
      enabled: true
      autoMitigate: true
      scopes: [
        insightsId
      ]
      evaluationFrequency: each.every
      windowSize: each.window
      // The tables do not exist before something was sent.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: replace(each.query, 'FAILING_USERS', string(failingUsers))
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: empty(addresses) ? [] : [
          people.id
        ]
      }
    }
  }
]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, suffix, 'workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'innovaphone calendar presence'
    category: 'workbook'
    sourceId: insightsId
    serializedData: loadTextContent('workbook.json')
  }
}
