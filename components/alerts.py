"""Azure's alerts about the machine, and the test of the chat's address from outside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pulumi
from pulumi_azure_native import (
    alertsmanagement,
    applicationinsights,
    authorization,
    monitor,
    operationalinsights,
    resources,
)

from components.tags import Tags
from ollamazure.names import VM
from ollamazure.settings.stack import Settings
from ollamazure.settings.working_hours import WEEKDAYS, WorkingHours
from ollamazure.sizing.alerts import (
    CERTIFICATE_DAYS,
    FAILED_LOCATIONS,
    TEST_LOCATIONS,
    TEST_SECONDS,
    UNREACHABLE,
    AlertRule,
    MetricRule,
    metric_rules,
)
from ollamazure.sizing.plan import Sizing

GLOBAL = "global"
MACHINES = "Microsoft.Compute/virtualMachines"
OF_METRICS = "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria"
OF_TEST = "Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria"
TEST = "chat"
"""The name of the availability test, of Application Insights and of its workspace."""
OUTSIDE = "outside-working-hours"
DAILY_GB = 0.1  # thirty times what the test writes
# After the start: a test of each place, and some minutes until the chat answers.
QUIET_AFTER_START = timedelta(minutes=20)


@dataclass(frozen=True)
class AlertsArgs:
    """What the alerts are made from.

    Attributes:
        settings: the stack's, with a receiver of alerts.
        plan: the size of the machine.
        group: the resource group of the machine, and of everything here.
        group_name: its name, which each rule's name starts with: a message has no other.
        vm: the machine.
        url: of the chat.
        tags: of each resource.
    """

    settings: Settings
    plan: Sizing
    group: resources.ResourceGroup
    group_name: str
    vm: pulumi.Resource
    url: pulumi.Input[str]
    tags: Tags


class Alerts(pulumi.ComponentResource):
    """Rules on what Azure sees of the machine, and an availability test where one is possible.

    Attributes:
        action_group: who gets the alerts.
        test: the availability test; None if there is none.
    """

    action_group: monitor.ActionGroup
    test: applicationinsights.WebTest | None

    def __init__(
        self, name: str, args: AlertsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Alerts", name, None, opts)
        self._args = args
        subscription = authorization.get_client_config().subscription_id
        self._group_id = f"/subscriptions/{subscription}/resourceGroups/{args.group_name}"
        self.action_group = self._action_group()
        for rule in metric_rules(args.plan.vm_size):
            self._metric_alert(rule)
        self.test = self._test() if args.settings.availability_test else None
        self.register_outputs({})

    def _action_group(self) -> monitor.ActionGroup:
        args, webhook = self._args, self._args.settings.alerts_webhook
        common = {"use_common_alert_schema": True}
        return monitor.ActionGroup(
            "action-group",
            action_group_name="alerts",
            resource_group_name=args.group.name,
            # Messages show it; Azure allows 12 characters.
            group_short_name="chat-alerts",
            enabled=True,
            email_receivers=[
                {"name": _receiver(email), "email_address": email, **common}
                for email in args.settings.alerts.email
            ],
            # Anyone who has the address can send alerts.
            webhook_receivers=pulumi.Output.secret(
                [{"name": "webhook", "service_uri": webhook.get_secret_value(), **common}]
            )
            if webhook
            else None,
            location=GLOBAL,
            tags=args.tags.of(
                monitor.get_action_group,
                action_group_name="alerts",
                resource_group_name=args.group_name,
            ),
            opts=pulumi.ResourceOptions(
                parent=self, additional_secret_outputs=["webhookReceivers"]
            ),
        )

    def _metric_alert(self, rule: MetricRule) -> None:
        """A rule on a metric.

        Its scope is the machine's name: a machine that is replaced changes nothing here. Azure may
        list the metrics of a new machine only later, so it must not look the name up.
        """
        self._alert(
            rule,
            [f"{self._group_id}/providers/{MACHINES}/{VM}"],
            monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
                odata_type=OF_METRICS,
                all_of=[
                    monitor.MetricCriteriaArgs(
                        name=rule.name,
                        criterion_type="StaticThresholdCriterion",
                        metric_namespace=MACHINES,
                        metric_name=rule.metric,
                        time_aggregation=rule.aggregation,
                        operator=rule.operator,
                        threshold=rule.threshold,
                        skip_metric_validation=True,
                    )
                ],
            ),
        )

    def _alert(
        self,
        rule: AlertRule,
        scopes: Sequence[pulumi.Input[str]],
        criteria: monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs
        | monitor.WebtestLocationAvailabilityCriteriaArgs,
    ) -> None:
        args, rule_name = self._args, f"{self._args.group_name}-{rule.name}"
        monitor.MetricAlert(
            f"alert-{rule.name}",
            rule_name=rule_name,
            resource_group_name=args.group.name,
            description=rule.description,
            severity=rule.severity,
            enabled=True,
            evaluation_frequency=rule.frequency,
            window_size=rule.window,
            auto_mitigate=True,
            scopes=scopes,
            criteria=criteria,
            actions=[{"action_group_id": self.action_group.id}],
            location=GLOBAL,
            tags=args.tags.of(
                monitor.get_metric_alert, rule_name=rule_name, resource_group_name=args.group_name
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.vm]),
        )

    def _test(self) -> applicationinsights.WebTest:
        """The test, and the rule on it.

        A machine that is stopped on a schedule fails the test, so no one gets this alert then; the
        rules on metrics are silent by themselves.
        """
        insights = self._insights()
        insights_id = f"{self._group_id}/providers/Microsoft.Insights/components/{TEST}"
        args = self._args
        of_test = {"resource_group_name": args.group_name, "web_test_name": TEST}
        test = applicationinsights.WebTest(
            "availability-test",
            web_test_name=TEST,
            synthetic_monitor_id=TEST,
            resource_group_name=args.group.name,
            kind=applicationinsights.WebTestKind.STANDARD,
            web_test_kind=applicationinsights.WebTestKind.STANDARD,
            enabled=True,
            frequency=TEST_SECONDS,
            timeout=30,
            # Azure reports a failure only after three in a row.
            retry_enabled=True,
            locations=[{"location": location} for location in TEST_LOCATIONS],
            # Nginx and Open WebUI both have to run for this answer, which needs no sign-in.
            request={
                "request_url": pulumi.Output.concat(args.url, "/health"),
                "http_verb": "GET",
                "parse_dependent_requests": False,
            },
            validation_rules={
                "expected_http_status_code": 200,
                "s_sl_check": True,
                "s_sl_cert_remaining_lifetime_check": CERTIFICATE_DAYS,
            },
            location=args.settings.location,
            # Azure finds the component of a test by this tag.
            tags={
                **args.tags.of(applicationinsights.get_web_test, **of_test),
                f"hidden-link:{insights_id}": "Resource",
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[insights]),
        )
        self._alert(
            UNREACHABLE,
            [test.id, insights.id],
            monitor.WebtestLocationAvailabilityCriteriaArgs(
                odata_type=OF_TEST,
                web_test_id=test.id,
                component_id=insights.id,
                failed_location_count=FAILED_LOCATIONS,
            ),
        )
        if args.settings.working_hours:
            self._quiet(args.settings.working_hours)
        return test

    def _quiet(self, hours: WorkingHours) -> None:
        """No message of the rule on the test outside the working hours."""
        args = self._args
        in_group = {"resource_group_name": args.group_name}
        alertsmanagement.AlertProcessingRuleByName(
            "alerts-outside-working-hours",
            alert_processing_rule_name=OUTSIDE,
            resource_group_name=args.group.name,
            location=GLOBAL,
            properties=alertsmanagement.AlertProcessingRulePropertiesArgs(
                description="The machine is off outside its working hours, so the chat cannot be "
                "reached, and no one gets this alert.",
                enabled=True,
                scopes=[self._group_id],
                conditions=[
                    {
                        "field": alertsmanagement.Field.ALERT_RULE_NAME,
                        "operator": alertsmanagement.Operator.EQUALS,
                        "values": [f"{args.group_name}-{UNREACHABLE.name}"],
                    }
                ],
                actions=[
                    alertsmanagement.RemoveAllActionGroupsArgs(action_type="RemoveAllActionGroups")
                ],
                schedule=alertsmanagement.ScheduleArgs(
                    time_zone=hours.windows_time_zone, recurrences=list(_outside(hours))
                ),
            ),
            tags=args.tags.of(
                alertsmanagement.get_alert_processing_rule_by_name,
                alert_processing_rule_name=OUTSIDE,
                **in_group,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _insights(self) -> applicationinsights.Component:
        """What a test belongs to: Application Insights, which keeps its results in a workspace."""
        args = self._args
        in_group = {"resource_group_name": args.group_name}
        workspace = operationalinsights.Workspace(
            "availability-workspace",
            workspace_name=f"{TEST}-availability",
            resource_group_name=args.group.name,
            sku={"name": operationalinsights.WorkspaceSkuNameEnum.PER_GB2018},
            retention_in_days=30,
            # Anyone who learns the key of Application Insights can write there, and Azure bills it.
            workspace_capping={"daily_quota_gb": DAILY_GB},
            location=args.settings.location,
            tags=args.tags.of(
                operationalinsights.get_workspace,
                workspace_name=f"{TEST}-availability",
                **in_group,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return applicationinsights.Component(
            "availability-insights",
            resource_name_=TEST,
            resource_group_name=args.group.name,
            kind="web",
            application_type=applicationinsights.ApplicationType.WEB,
            workspace_resource_id=workspace.id,
            location=args.settings.location,
            tags=args.tags.of(applicationinsights.get_component, resource_name=TEST, **in_group),
            opts=pulumi.ResourceOptions(
                parent=self, additional_secret_outputs=["connectionString", "instrumentationKey"]
            ),
        )


def _outside(hours: WorkingHours) -> Iterator[alertsmanagement.WeeklyRecurrenceArgs]:
    """When the machine is off: without times, a recurrence is for whole days."""
    days = [day.capitalize() for day in hours.days]
    awake = f"{hours.after_start(QUIET_AFTER_START)}:00"
    for start, end in (("00:00:00", awake), (f"{hours.end}:00", "23:59:59")):
        yield alertsmanagement.WeeklyRecurrenceArgs(
            recurrence_type="Weekly", days_of_week=days, start_time=start, end_time=end
        )
    if others := [day.capitalize() for day in WEEKDAYS if day not in hours.days]:
        yield alertsmanagement.WeeklyRecurrenceArgs(recurrence_type="Weekly", days_of_week=others)


def _receiver(email: str) -> str:
    """The name of a receiver: the same for the same address, wherever it is in the list."""
    return f"email-{hashlib.sha256(email.encode()).hexdigest()[:12]}"
