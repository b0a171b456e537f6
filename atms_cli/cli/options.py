"""Every argument and option, declared once under the name that handlers use in their signatures."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Option

from atms_cli.domain import agent as agents
from atms_cli.domain import gate as gates
from atms_cli.domain import gatehistory, hooks
from atms_cli.domain import task as tasks
from atms_cli.domain.detection import TEMPLATES
from atms_cli.domain.feature import CATEGORIES as FEATURE_CATEGORIES
from atms_cli.domain.feature import PRIORITIES as FEATURE_PRIORITIES
from atms_cli.domain.recurrence import MISSED
from atms_cli.store.importers import FORMS
from atms_cli.store.listing import SORTS

_TEXT = " `-` reads standard input, `@FILE` a file."
_WHEN = " Like 2026-12-01T09:00 or 2h from now."

# Common to all commands
Json = Annotated[bool | None, Option("--json", help="Print JSON.")]
Quiet = Annotated[bool | None, Option("-q", "--quiet", help="Print ids only, and no talk.")]
Workspace = Annotated[str | None, Option("--workspace", metavar="DIR", help="Work on the workspace in DIR.")]
Color = Annotated[str | None, Option("--color", metavar="WHEN", help="Colours: auto, always or never.")]
Yes = Annotated[bool | None, Option("--yes", help="Answer yes to every question.")]
NoInput = Annotated[bool | None, Option("--no-input", help="Never ask; refuse instead.")]
COMMON = {"json": Json, "quiet": Quiet, "workspace": Workspace, "color": Color, "yes": Yes, "no_input": NoInput}
Version = Annotated[bool, Option("--version", help="Print the version.")]

# Tasks
Title = Annotated[str, Argument(metavar="TITLE", help="What is to be done, in one line.")]
TaskId = Annotated[str, Argument(metavar="ID", help="A task, by its id or the beginning of it.")]
TaskIds = Annotated[list[str], Argument(metavar="ID...", help="Tasks; all of them change, or none.")]
OptionalTaskId = Annotated[
    str | None, Argument(metavar="[ID]", help="A task; the best one for the agent if not given.")
]
OptionalKey = Annotated[str | None, Argument(metavar="[ID]", help="A task, agent or feature; everything if not given.")]
NewTitle = Annotated[str | None, Option("--title", metavar="TEXT", help="A new title.")]
Description = Annotated[
    str | None, Option("-d", "--description", metavar="TEXT", help="What it is about, at length." + _TEXT)
]
Priority = Annotated[
    str | None, Option("-p", "--priority", metavar="P", help="One of: " + ", ".join(tasks.PRIORITIES) + ".")
]
Category = Annotated[
    str | None, Option("-c", "--category", metavar="C", help="One of: " + ", ".join(tasks.CATEGORIES) + ".")
]
Complexity = Annotated[
    str | None, Option("--complexity", metavar="C", help="One of: " + ", ".join(tasks.COMPLEXITIES) + ".")
]
Effort = Annotated[int | None, Option("--effort", min=0, metavar="MIN", help="Estimated minutes of work.")]
Value = Annotated[str | None, Option("--value", metavar="TEXT", help="Why it is worth doing." + _TEXT)]
After = Annotated[list[str] | None, Option("--after", metavar="ID", help="Wait for this task; repeatable.")]
Parent = Annotated[str | None, Option("--parent", metavar="ID", help="The task that this one is part of.")]
FeatureOf = Annotated[str | None, Option("--feature", metavar="ID", help="The feature that this task belongs to.")]
Tags = Annotated[list[str] | None, Option("-t", "--tag", metavar="TAG", help="A label; repeatable.")]
Untags = Annotated[list[str] | None, Option("--untag", metavar="TAG", help="Take a label away; repeatable.")]
Clears = Annotated[
    list[str] | None, Option("--clear", metavar="OPTION", help="Forget what was given, like deadline; repeatable.")
]
Capabilities = Annotated[
    list[str] | None, Option("--cap", metavar="CAPABILITY", help="What it takes to do this; repeatable.")
]
GateNames = Annotated[
    list[str] | None, Option("--gate", metavar="NAME", help="A gate that must pass besides the usual ones; repeatable.")
]
Criteria = Annotated[
    list[str] | None, Option("--criterion", metavar="TEXT", help="When it counts as done, in words; repeatable.")
]
Command = Annotated[str | None, Option("--command", metavar="CMD", help="The shell command that does it.")]
Prompt = Annotated[
    str | None, Option("--prompt", metavar="TEXT", help="What to tell the agent, instead of the built prompt." + _TEXT)
]
Agent = Annotated[str | None, Option("--agent", metavar="NAME", help="The agent that shall do it.")]
WorkingDirectory = Annotated[
    str | None, Option("--cwd", metavar="DIR", help="Where it is done, from the workspace's root.")
]
Environment = Annotated[
    list[str] | None, Option("--env", metavar="NAME=VALUE", help="An environment variable; repeatable.")
]
Inputs = Annotated[
    list[str] | None, Option("--input", metavar="NAME=VALUE", help="What it is given to work with; repeatable.")
]
Outputs = Annotated[
    list[str] | None,
    Option(
        "--output",
        metavar="NAME[=PATH]",
        help="A file that must be there at its end, or without PATH a result that it has to report; repeatable.",
    ),
]
Deadline = Annotated[str | None, Option("--deadline", metavar="WHEN", help="When it is due." + _WHEN)]
NotBefore = Annotated[str | None, Option("--not-before", metavar="WHEN", help="Do not start earlier." + _WHEN)]
Timeout = Annotated[
    str | None, Option("--timeout", metavar="DURATION", help="Stop an attempt that takes longer, like 90s, 15m, 2h.")
]
Limits = Annotated[
    list[str] | None,
    Option(
        "--limit", metavar="NAME=N", help="What an attempt may use, like memory=2G, cpu=10m, files=1024; repeatable."
    ),
]
Retries = Annotated[int | None, Option("--retries", min=0, metavar="N", help="Attempts after the first one.")]
Lane = Annotated[
    str | None, Option("--lane", metavar="LANE", help="The named queue that it goes through; `default` if not given.")
]
Soft = Annotated[
    list[str] | None, Option("--soft-after", metavar="ID", help="After this task if that one can run; repeatable.")
]
AfterFailure = Annotated[
    list[str] | None, Option("--after-failure", metavar="ID", help="Only if this task fails; repeatable.")
]
AfterAny = Annotated[
    list[str] | None, Option("--after-any", metavar="ID", help="Once this task has ended, however it did; repeatable.")
]
Needs = Annotated[
    list[str] | None, Option("--needs", metavar="RESOURCE", help="What it holds while it runs, like db; repeatable.")
]
Exclusive = Annotated[
    str | None, Option("--exclusive", metavar="KEY", help="Never run beside another task with the same key.")
]
TaskIsolation = Annotated[
    str | None,
    Option(
        "--isolation",
        metavar="WHERE",
        help="Where it is worked on: shared or worktree; else as its agent or atms.yaml says.",
    ),
]
Every = Annotated[
    str | None, Option("--every", metavar="CRON", help="Do it again and again, like '30 3 * * *'; in local time.")
]
Missed = Annotated[
    str | None,
    Option("--missed", metavar="HOW", help="Times that passed while no loop ran: " + ", ".join(MISSED) + "."),
]
Rollup = Annotated[bool, Option("--rollup", help="Nobody works on it: it ends when the tasks with it as parent have.")]
LinkKind = Annotated[
    str | None,
    Option("--kind", metavar="KIND", help="How the other must end: " + ", ".join(tasks.DEPENDENCY_KINDS) + "."),
]
GraphFormat = Annotated[
    str | None, Option("--format", metavar="F", help="One of: text, dot, mermaid; text if not given.")
]
GraphTask = Annotated[
    str | None,
    Argument(metavar="[ID]", help="What this task waits for and what waits for it; all open tasks if not given."),
]
Draft = Annotated[bool, Option("--draft", help="Keep it out of the queue for now.")]
Statuses = Annotated[
    list[str] | None,
    Option("--status", metavar="STATUS", help="One of: " + ", ".join(tasks.STATUSES) + "; repeatable."),
]
Priorities = Annotated[list[str] | None, Option("-p", "--priority", metavar="P", help="Of this priority; repeatable.")]
Categories = Annotated[list[str] | None, Option("-c", "--category", metavar="C", help="Of this category; repeatable.")]
TagsWanted = Annotated[
    list[str] | None, Option("-t", "--tag", metavar="TAG", help="With this label; repeatable, each must be there.")
]
FeaturesWanted = Annotated[list[str] | None, Option("--feature", metavar="ID", help="Of this feature; repeatable.")]
LanesWanted = Annotated[list[str] | None, Option("--lane", metavar="LANE", help="Only of this lane; repeatable.")]
AgentsWanted = Annotated[
    list[str] | None, Option("--agent", metavar="NAME", help="Held or done by this agent; repeatable.")
]
Ready = Annotated[bool, Option("--ready", help="That can start now.")]
Blocked = Annotated[bool, Option("--blocked", help="That wait for others or are blocked.")]
Overdue = Annotated[bool, Option("--overdue", help="Past their deadline.")]
Search = Annotated[str | None, Option("--search", metavar="TEXT", help="With this text in title or description.")]
Sort = Annotated[str | None, Option("--sort", metavar="FIELD", help="One of: " + ", ".join(SORTS) + ".")]
Reverse = Annotated[bool, Option("--reverse", help="The other way round.")]
Limit = Annotated[
    int | None, Option("-n", "--limit", min=0, metavar="N", help="At most so many; a table shows 50 unless told.")
]
Offset = Annotated[int | None, Option("--offset", min=0, metavar="N", help="Skip so many first.")]
Format = Annotated[str | None, Option("--format", metavar="F", help="One of: table, json, jsonl, ids, csv.")]
On = Annotated[list[str], Option("--on", metavar="ID", help="The task to wait for; repeatable.")]
RemoveLink = Annotated[bool, Option("--remove", help="No longer wait for it.")]
Reason = Annotated[str | None, Option("--reason", metavar="TEXT", help="Why; it stays in the history." + _TEXT)]
Percent = Annotated[
    int | None, Argument(metavar="[PERCENT]", help="How much of it is done, from 0 to 100.", min=0, max=100)
]
ProgressNote = Annotated[str | None, Option("--note", metavar="TEXT", help="What is being done." + _TEXT)]
Note = Annotated[str | None, Option("--note", metavar="TEXT", help="What was done; it stays with the result." + _TEXT)]
Result = Annotated[
    str | None,
    Option("--result", metavar="TEXT", help="What came of it: text, or a JSON object of results by name." + _TEXT),
]
Force = Annotated[
    bool, Option("--force", help="Pass over the gates; needs --reason, is recorded, and is refused to agents.")
]
Token = Annotated[str | None, Option("--token", metavar="TOKEN", help="The token of your lease, else ATMS_LEASE.")]
ClaimAgent = Annotated[str | None, Option("--agent", metavar="NAME", help="In whose name; else ATMS_AGENT, else you.")]
LeaseTime = Annotated[
    str | None, Option("--lease", metavar="DURATION", help="How long the claim lasts without a heartbeat.")
]
Follow = Annotated[bool, Option("-f", "--follow", help="Go on as more comes in.")]
AttemptNumber = Annotated[
    int | None, Option("--attempt", min=0, metavar="N", help="This attempt; the last one if not given.")
]
Raw = Annotated[
    bool, Option("--raw", help="As the agent printed it: a coding agent's events are put into words if not given.")
]
Shell = Annotated[bool, Option("--shell", help="Open a shell where the work on it lies instead.")]
Prune = Annotated[
    bool, Option("--prune", help="Remove those of which all is committed and merged, and whose tasks have ended.")
]
WaitTimeout = Annotated[
    str | None, Option("--timeout", metavar="DURATION", help="Give up after so long (exit code 75).")
]

ImportFile = Annotated[str, Argument(metavar="FILE", help="What to read; `-` for standard input.")]
Form = Annotated[
    str | None, Option("--form", metavar="F", help="One of: " + ", ".join(FORMS) + "; recognised if not given.")
]
ImportDryRun = Annotated[bool, Option("--dry-run", help="Show what would be added, and add nothing.")]
ExportFormat = Annotated[
    str | None, Option("--format", metavar="F", help="One of: json, jsonl, csv, md; json if not given.")
]

# The queue
OneLane = Annotated[str | None, Option("--lane", metavar="LANE", help="This lane; the whole queue if not given.")]
Explained = Annotated[bool, Option("--explain", help="Say why it is this one.")]
First = Annotated[bool, Option("--first", help="Before all others of its lane.")]
Last = Annotated[bool, Option("--last", help="Behind all others of its lane.")]
Before = Annotated[str | None, Option("--before", metavar="ID", help="Right before this task.")]
IdsAndPriority = Annotated[
    list[str],
    Argument(metavar="[ID]... PRIORITY", help="Tasks and their new priority; without tasks those that options name."),
]
SomeTaskIds = Annotated[
    list[str] | None, Argument(metavar="[ID]...", help="Tasks; those that options name if not given.")
]
QueueKey = Annotated[str, Argument(metavar="KEY", help="A setting of the queue, like strategy or lanes.docs.rate.")]

# Agents
AgentName = Annotated[str, Argument(metavar="NAME", help="The agent's name.")]
Kind = Annotated[str | None, Option("--kind", metavar="KIND", help="One of: " + ", ".join(agents.KINDS) + ".")]
Model = Annotated[str | None, Option("--model", metavar="NAME", help="The model that it is asked to use.")]
Approval = Annotated[
    str | None,
    Option(
        "--approval",
        metavar="WHAT",
        help="What it may do without being asked: edits (change files; the default) or full (run any command too).",
    ),
]
Isolation = Annotated[
    str | None,
    Option("--isolation", metavar="WHERE", help="Where it works: shared or worktree; as atms.yaml says if not given."),
]
AgentArgs = Annotated[
    list[str] | None, Option("--arg", metavar="ARG", help="One more argument for its command line; repeatable.")
]
AgentVariables = Annotated[
    list[str] | None, Option("--env", metavar="NAME=VALUE", help="A variable for its environment; repeatable.")
]
SomeAgentNames = Annotated[list[str] | None, Argument(metavar="[NAME]...", help="Agents; all of them if not given.")]
TestDryRun = Annotated[bool, Option("--dry-run", help="Only say what would be started.")]
ShowPrompt = Annotated[bool, Option("--prompt", help="Print what an agent would be told of it, and nothing else.")]
AgentCommand = Annotated[
    str | None,
    Option(
        "--command",
        metavar="CMD",
        help="Shell command that does one task; the prompt comes on standard input and in {prompt_file}.",
    ),
]
Specialization = Annotated[str | None, Option("--specialization", metavar="S", help="What it is best at.")]
AgentCapabilities = Annotated[
    list[str] | None, Option("--cap", metavar="CAPABILITY", help="What it can do; repeatable.")
]
Languages = Annotated[list[str] | None, Option("--language", metavar="L", help="A language it knows; repeatable.")]
Frameworks = Annotated[list[str] | None, Option("--framework", metavar="F", help="A framework it knows; repeatable.")]
Tools = Annotated[list[str] | None, Option("--tool", metavar="T", help="A tool it has; repeatable.")]
AgentCategories = Annotated[
    list[str] | None,
    Option("--category", metavar="C", help="A category of tasks that it takes, all if not given; repeatable."),
]
MaxComplexity = Annotated[
    str | None,
    Option("--max-complexity", metavar="C", help="It takes nothing beyond: " + ", ".join(tasks.COMPLEXITIES) + "."),
]
MaxPriority = Annotated[
    str | None,
    Option(
        "--max-priority", metavar="P", help="It takes nothing more urgent than: " + ", ".join(tasks.PRIORITIES) + "."
    ),
]
AgentRate = Annotated[str | None, Option("--rate", metavar="RATE", help="Starts in an interval, like 10/1h.")]
AgentPrompt = Annotated[
    str | None,
    Option("--prompt", metavar="FILE", help="The template of what it is told; as atms.yaml says if not given."),
]
ClearsOfAgent = Annotated[
    list[str] | None, Option("--clear", metavar="OPTION", help="Forget what was given, like rate; repeatable.")
]
MaxConcurrent = Annotated[int | None, Option("--max", min=0, metavar="N", help="Tasks at once.")]

# Features
FeatureId = Annotated[str, Argument(metavar="ID", help="A feature, by its id or the beginning of it.")]
FeatureIds = Annotated[list[str], Argument(metavar="ID...", help="Features; all of them change, or none.")]
SomeFeatureIds = Annotated[
    list[str] | None, Argument(metavar="[ID]...", help="Features; all approved ones without tasks if not given.")
]
FeatureFile = Annotated[
    str | None, Option("--file", metavar="PATH", help="The roadmap file, else FEATURES.json or TASKS.json.")
]
FeatureStatuses = Annotated[list[str] | None, Option("--status", metavar="STATUS", help="Of this status; repeatable.")]
SuggestedTitle = Annotated[
    str | None, Argument(metavar="[TITLE]", help="10 to 200 characters; may stand in --from or be written with --edit.")
]
FeatureTitle = Annotated[str | None, Option("--title", metavar="TEXT", help="10 to 200 characters.")]
FeatureDescription = Annotated[
    str | None, Option("-d", "--description", metavar="TEXT", help="20 to 2000 characters." + _TEXT)
]
BusinessValue = Annotated[str | None, Option("--business-value", metavar="TEXT", help="10 to 1000 characters." + _TEXT)]
FeatureCategory = Annotated[
    str | None, Option("-c", "--category", metavar="C", help="One of: " + ", ".join(FEATURE_CATEGORIES) + ".")
]
FeaturePriority = Annotated[
    str | None, Option("-p", "--priority", metavar="P", help="One of: " + ", ".join(FEATURE_PRIORITIES) + ".")
]
FeatureFrom = Annotated[
    str | None, Option("--from", metavar="FILE", help="Take fields from a JSON object; `-` reads standard input.")
]
EditInEditor = Annotated[bool, Option("--edit", help="Write the fields in your editor ($VISUAL, $EDITOR).")]
ApprovalNotes = Annotated[
    str | None, Option("--notes", metavar="TEXT", help="A note for the approval history." + _TEXT)
]
ImplementationNotes = Annotated[
    str | None,
    Option("--notes", metavar="TEXT", help="The evidence; what atms knows of its tasks if not given." + _TEXT),
]
Take = Annotated[
    str, Option("--take", metavar="SIDE", help="Whose word holds: file, or queue (what the work here came to).")
]
Check = Annotated[bool, Option("--check", help="Change nothing; exit with 1 if there is something to do.")]

# Gates
GateName = Annotated[str, Argument(metavar="NAME", help="The gate's name.")]
GateOrGroup = Annotated[str, Argument(metavar="NAME", help="A gate, or a group of gates.")]
SomeGateNames = Annotated[
    list[str] | None,
    Argument(metavar="[NAME]...", help="Gates and groups; if none is given all but reviews and those of stage manual."),
]
GateCommand = Annotated[
    str | None,
    Option("--command", metavar="CMD", help="A line of shell; {files} in it are the files to look at."),
]
GateArgs = Annotated[
    list[str] | None,
    Option("--arg", metavar="WORD", help="A word of a command that no shell reads, instead of --command; repeatable."),
]
GateKind = Annotated[
    str | None,
    Option("--kind", metavar="KIND", help="One of: " + ", ".join(gates.KINDS) + "; a review waits for a person."),
]
Advisory = Annotated[bool, Option("--advisory", help="Report only; a failure does not stop anything.")]
Stages = Annotated[
    list[str] | None, Option("--stage", metavar="STAGE", help="One of: " + ", ".join(gates.STAGES) + "; repeatable.")
]
Group = Annotated[str | None, Option("--group", metavar="NAME", help="A name for several gates.")]
AfterGates = Annotated[
    list[str] | None, Option("--after", metavar="NAME", help="A gate or group that has to pass first; repeatable.")
]
ForCategories = Annotated[
    list[str] | None, Option("--category", metavar="C", help="Only for tasks of this category; repeatable.")
]
ForPriorities = Annotated[
    list[str] | None, Option("--priority", metavar="P", help="Only for tasks of this priority; repeatable.")
]
ForTags = Annotated[
    list[str] | None, Option("--tag", metavar="TAG", help="Only for tasks with this label; repeatable.")
]
ForPaths = Annotated[
    list[str] | None,
    Option("--path", metavar="GLOB", help="Only if such a file changed; also what {files} is limited to; repeatable."),
]
When = Annotated[
    str | None,
    Option("--when", metavar="JSON", help="A condition with all_of, any_of, not and clauses, as in atms.yaml." + _TEXT),
]
GateTimeout = Annotated[
    str | None, Option("--timeout", metavar="DURATION", help="Longer is a failure; 10m if not given.")
]
GateRetries = Annotated[
    int | None,
    Option("--retries", min=0, metavar="N", help="Runs after one that did not pass, for flaky ones."),
]
ExpectExit = Annotated[
    list[str] | None,
    Option("--expect-exit", metavar="CODE", help="An exit code that passes; repeatable; 0 if not given."),
]
ExpectOutput = Annotated[
    list[str] | None, Option("--expect-output", metavar="REGEX", help="Has to be in what it prints; repeatable.")
]
RefuseOutput = Annotated[
    list[str] | None, Option("--refuse-output", metavar="REGEX", help="May not be in what it prints; repeatable.")
]
Reports = Annotated[
    list[str] | None,
    Option("--report", metavar="[FORMAT:]PATH", help="A file it writes, to be read for findings; repeatable."),
]
Thresholds = Annotated[
    list[str] | None,
    Option(
        "--threshold",
        metavar="NAME=VALUE",
        help="A limit on what its reports say, like coverage.line=80 or new_findings=0; repeatable.",
    ),
]
Cache = Annotated[
    str | None,
    Option(
        "--cache",
        metavar="HOW",
        help="Whether a pass holds while nothing changes: yes or no; by its kind if not given.",
    ),
]
GateInputs = Annotated[
    list[str] | None,
    Option("--input", metavar="GLOB", help="Files that its result depends on; all if not given; repeatable."),
]
Stage = Annotated[
    str | None, Option("--stage", metavar="STAGE", help="The gates of this stage: " + ", ".join(gates.STAGES) + ".")
]
HookStage = Annotated[str, Argument(metavar="STAGE", help="One of: " + ", ".join(hooks.STAGES) + ".")]
HookArguments = Annotated[list[str] | None, Argument(metavar="[ARG]...", help="What git gives to this hook.")]
HookStages = Annotated[
    list[str] | None, Option("--stage", metavar="STAGE", help="One of: " + ", ".join(hooks.STAGES) + "; repeatable.")
]
TaskOption = Annotated[str | None, Option("--task", metavar="ID", help="The gates that judge this task.")]
OnlyChanged = Annotated[bool, Option("--changed", help="Only what has changed since the last commit; see also --base.")]
Base = Annotated[
    str | None,
    Option("--base", metavar="REF", help="Only what has changed since this branch left REF; implies --changed."),
]
Publish = Annotated[
    list[str] | None,
    Option(
        "--report",
        metavar="FORMAT=PATH",
        help="Write the verdict to PATH as sarif, junit, json or md; repeatable.",
    ),
]
RunOrTask = Annotated[
    str | None, Argument(metavar="[ID]", help="A run of gates, with all it found, or a task; all of them if not given.")
]
OfGate = Annotated[str | None, Option("--gate", metavar="NAME", help="Only of this gate.")]
OfGateStatus = Annotated[
    str | None, Option("--status", metavar="STATUS", help="Only such results: " + ", ".join(gatehistory.STATUSES) + ".")
]
ResultLimit = Annotated[int, Option("-n", "--limit", min=1, metavar="N", help="The newest so many; 50 if not given.")]
SomeGates = Annotated[list[str] | None, Argument(metavar="[NAME]...", help="Gates; all of them if not given.")]
UpdateBaseline = Annotated[bool, Option("--update", help="Run the gates and accept all that they find; people only.")]
NoCache = Annotated[bool, Option("--no-cache", help="Run everything, whatever has passed before.")]
Verbose = Annotated[bool, Option("-v", "--verbose", help="Show what the gates print as they do.")]
Checks = Annotated[
    list[str] | None,
    Option("--check", metavar="CMD", help="A shell command that has to succeed before it is done; repeatable."),
]
CheckExit = Annotated[
    list[str] | None, Option("--check-exit", metavar="CODE", help="An exit code that counts as success; repeatable.")
]
CheckOutput = Annotated[
    list[str] | None, Option("--check-output", metavar="REGEX", help="Has to be in what it prints; repeatable.")
]

# Running
Drain = Annotated[bool, Option("--drain", help="End when nothing is left that can run.")]
Once = Annotated[bool, Option("--once", help="Start one task at most.")]
Jobs = Annotated[int | None, Option("-j", "--jobs", min=0, metavar="N", help="Attempts at once.")]
OnlyAgents = Annotated[list[str] | None, Option("--agent", metavar="NAME", help="Use only this agent; repeatable.")]
DryRun = Annotated[bool, Option("--dry-run", help="Show what would be started, in order, and touch nothing.")]
MaxTime = Annotated[
    str | None,
    Option(
        "--max-time", metavar="DURATION", help="End after so long; what runs is stopped and goes back into the queue."
    ),
]
MaxCost = Annotated[
    str | None,
    Option(
        "--max-cost",
        metavar="USD",
        help="Stop agents and start nothing more once this run has cost so many US dollars.",
    ),
]
MaxTokens = Annotated[
    int | None,
    Option(
        "--max-tokens",
        min=0,
        metavar="N",
        help="Stop agents and start nothing more once this run has used so many tokens.",
    ),
]
MaxFailures = Annotated[
    int | None, Option("--max-failures", min=1, metavar="N", help="Start nothing more once so many tasks have failed.")
]
Progress = Annotated[str | None, Option("--progress", metavar="HOW", help="One of: auto, plain, json, none.")]
Keep = Annotated[str | None, Option("--keep", metavar="DIR", help="Make the demonstration in DIR and leave it there.")]

# The original's API
ApiCommand = Annotated[str | None, Argument(metavar="COMMAND", help="A command of the original; `methods` lists them.")]
ApiArguments = Annotated[
    list[str] | None, Argument(metavar="[ARGUMENT]...", help="Its arguments, objects as JSON." + _TEXT)
]
ProjectRoot = Annotated[
    str | None, Option("--project-root", metavar="DIR", help="The workspace in DIR, in the original's words.")
]
LegacyExit = Annotated[
    bool, Option("--legacy-exit", help="End with the original's exit codes: 0 for most failures, else 1.")
]

# The workspace
UndoCount = Annotated[int, Argument(metavar="[N]", help="How many changes; 1 if not given.")]
BackupFile = Annotated[str, Argument(metavar="FILE", help="The backup, a .tar.gz file.")]
Remote = Annotated[str | None, Argument(metavar="[REMOTE]", help="A git remote or its URL; origin if not given.")]
Template = Annotated[
    str | None,
    Option(
        "--template",
        metavar="T",
        help="Make gates of what the project has: " + ", ".join(TEMPLATES) + "; generic, without any, if not given.",
    ),
]
InitForce = Annotated[
    bool, Option("--force", help="Write a new atms.yaml over the present one, which is kept as a backup.")
]
Fix = Annotated[bool, Option("--fix", help="Repair what can be repaired without loss.")]
OlderThan = Annotated[
    str | None,
    Option("--older-than", metavar="DURATION", help="Tasks closed, and unchanged, for so long; 30d if not given."),
]
CompactDryRun = Annotated[bool, Option("--dry-run", help="Only say what would be done.")]
Discard = Annotated[bool, Option("--discard", help="Do not keep the segments as they were in .atms/backups.")]
EventType = Annotated[
    str | None, Option("--type", metavar="GLOB", help="Events of this type, like task.* or *.failed.")
]
Since = Annotated[
    str | None, Option("--since", metavar="WHEN", help="Not older: 2026-12-01, or 2h for the last two hours.")
]
LogLimit = Annotated[
    int | None, Option("-n", "--limit", min=0, metavar="N", help="The newest so many; 20 if not given.")
]
Key = Annotated[str, Argument(metavar="KEY", help="A setting, like queue.ageing.")]
Setting = Annotated[str, Argument(metavar="VALUE", help="Its value, as in YAML.")]
