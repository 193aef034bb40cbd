/** @file Checks of plugins, each mistake with its remedy. */

import { gradientRules } from '../../autodiff/rules.ts';
import { operatorName } from '../../graph/knownOperators.ts';
import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { Tuner } from '../../lora/tuner.ts';
import { isKnownDomain } from '../../ops/domains.ts';
import type { OperatorRule } from './contributions.ts';
import {
  type ContributionKind,
  contributionKinds,
  type Contributions,
  type FieldType,
  kinds,
  type Plugin,
  PLUGIN_CONTRACT,
} from './definePlugin.ts';
import type { ModelFamily } from '../families/family.ts';
import type { TaskFactory } from '../taskFactory.ts';

const typeWords: Readonly<Record<FieldType, string>> = {
  string: 'a string',
  function: 'a function',
  object: 'an object',
  list: 'an array',
};

const invalid = (message: string): OnnxLoraError => new OnnxLoraError('PLUGIN_INVALID', message);

/** @throws OnnxLoraError `PLUGIN_INVALID` for anything but a list */
export function requireList(given: unknown): void {
  if (Array.isArray(given)) return;
  throw invalid(`A list of plugins was expected, but ${described(given)} was given. Put it into a list: [plugin].`);
}

/** @throws OnnxLoraError `PLUGIN_INVALID` for anything not made by `definePlugin` of this version of the contract */
export function checkPlugin(given: unknown): void {
  const plugin = given as Partial<Plugin> | null | undefined;
  if (typeof plugin !== 'object' || plugin === null || typeof plugin.contract !== 'number' || !plugin.parts) {
    throw invalid(
      `A plugin was expected, but ${described(given)} was given. Make plugins with definePlugin, and pass them on as they are.`,
    );
  }
  const { name, version, contract } = plugin;
  if (typeof name !== 'string' || name.trim() === '') {
    throw invalid('A plugin has no name. Its author must name it: definePlugin({ name }).');
  }
  if (contract === PLUGIN_CONTRACT) return;
  const remedy =
    contract > PLUGIN_CONTRACT
      ? `Update @onnx-lora/sdk, or install an earlier version of "${name}"`
      : `Install a later version of "${name}", or an earlier @onnx-lora/sdk`;
  throw invalid(
    `The plugin "${name}"${version === undefined ? '' : ` ${version}`} was made for version ${contract} of the plugin contract, but this SDK has version ${PLUGIN_CONTRACT}. ${remedy}.`,
  );
}

/** Checks a plugin's list of one kind. @throws OnnxLoraError `PLUGIN_INVALID`, also for missing fields */
export function checkContributions<Kind extends ContributionKind>(
  { name }: Plugin,
  kind: Kind,
  list: Contributions[Kind],
): Contributions[Kind] {
  if (!Array.isArray(list)) {
    throw invalid(
      `"${kind}" of the plugin "${name}" must be a list, but it is ${described(list)}. Its author must return an array.`,
    );
  }
  (list as readonly unknown[]).forEach((each, i) => {
    for (const [field, type] of Object.entries(kinds[kind].fields)) {
      const found = (each as Readonly<Record<string, unknown>> | null | undefined)?.[field];
      if (type === 'list' ? Array.isArray(found) : typeof found === type && found !== null) continue;
      const called = type === 'function' ? `${field}()` : field;
      const entry = `Number ${i + 1} of "${kind}" of the plugin "${name}"`;
      throw invalid(
        found === undefined
          ? `${entry} has no ${called}, as ${kinds[kind].word} must. Its author must add it.`
          : `${entry} has a ${called} that is ${described(found)}. Its author must make it ${typeWords[type]}.`,
      );
    }
  });
  if (kind === 'families') for (const family of list as readonly ModelFamily[]) checkTargets(family, name);
  if (kind === 'tasks') for (const task of list as readonly TaskFactory[]) checkTask(task, name);
  if (kinds[kind].isNamed) for (const each of list as readonly { name: string }[]) checkName(each.name, kind, name);
  return list;
}

function checkTargets({ name, roles, defaultTargets }: ModelFamily, plugin: string): void {
  // Families share lists of targets, and have only some of them.
  if (defaultTargets.length === 0 || defaultTargets.some((role) => Object.hasOwn(roles, role))) return;
  throw invalid(
    `The family "${name}" of the plugin "${plugin}" adapts ${defaultTargets.map((role) => `"${role}"`).join(', ')} by default, but has no such role.${didYouMean(defaultTargets[0]!, Object.keys(roles))} Its roles are ${Object.keys(roles).join(', ')}.`,
  );
}

/** Predictors of the former contract, and their replacements. */
const formerPredictors = {
  answerer: 'predict() with an answer for each of its sources, and input: { streams: true }',
  recordAnswerer:
    'recordPredictor(model, { records, rows, feeds, decode, answers }, options), and input: { endings, records: true }',
} as const;

function checkTask(task: TaskFactory, plugin: string): void {
  if (Array.isArray(task.settings)) {
    throw invalid(
      `The task "${task.name}" of the plugin "${plugin}" lists its settings, which must be a table. Its author must write settingsOf({ season: { kind: 'number', description: '…' } }), and read values with settings.read(options.settings).`,
    );
  }
  const former = (Object.keys(formerPredictors) as (keyof typeof formerPredictors)[]).find((name) => name in task);
  if (former === undefined) return;
  throw invalid(
    `The task "${task.name}" of the plugin "${plugin}" has ${former}(), and nothing calls that any more. Its author must name it predictor(), and return ${formerPredictors[former]}.`,
  );
}

/**
 * A dataset's name ends at a colon, and has two letters at least, unlike a drive of Windows. A provider's may name a device
 * after a colon.
 */
function checkName(name: string, kind: ContributionKind, plugin: string): void {
  const isDataset = kind === 'datasets';
  const plain = kind === 'providers' ? name.replace(/:(?=\w)/, '.') : name;
  if ((isDataset ? /^[A-Za-z0-9][A-Za-z0-9-]+$/ : /^[A-Za-z0-9][\w.-]*$/).test(plain)) return;
  const characters = isDataset ? 'letters, digits and "-", two at least' : 'letters, digits, "-", "_" and "."';
  const shown = kinds[kind].word.replace(/^an? /, '');
  throw invalid(
    `The ${shown} "${name}" of the plugin "${plugin}" cannot be named on the command line. Its author must take ${characters}.`,
  );
}

/** @throws OnnxLoraError `PLUGIN_INVALID` for plugins of one name, and different contributions of one kind and name */
export function requireNoClash(brought: ReadonlyMap<Plugin, Contributions>): void {
  const plugins = new Map<string, Plugin>();
  const owners = new Map<string, string>();
  const seen = new Set<object>();
  for (const [plugin, lists] of brought) {
    const other = plugins.get(plugin.name);
    if (other) {
      throw invalid(
        `Two plugins are named "${plugin.name}" (versions ${other.version ?? 'unknown'} and ${plugin.version ?? 'unknown'}). Load one of them.`,
      );
    }
    plugins.set(plugin.name, plugin);
    for (const kind of contributionKinds) {
      for (const each of lists[kind]) {
        if (seen.has(each)) continue;
        seen.add(each);
        for (const name of namesOf(each)) {
          const key = `${kind} ${name}`;
          const owner = owners.get(key) ?? (isOurs(kind, each, name) ? 'the SDK' : undefined);
          if (owner !== undefined) throw clash(kind, name, owner, plugin.name);
          owners.set(key, `"${plugin.name}"`);
        }
      }
    }
  }
}

/** Names that must be unique within a kind; preprocessors have none. */
function namesOf(each: object): string[] {
  if ('op' in each) return [operatorName((each as OperatorRule).domain, (each as OperatorRule).op)];
  // Two domains may each have a family for one model type.
  if ('matches' in each) return [`${(each as ModelFamily).domain}/${(each as ModelFamily).name}`];
  // A run names a tuner; a file gives its type, or the name of a LoRA variant.
  if ('peftType' in each) return [(each as Tuner).name, (each as Tuner).variant ?? (each as Tuner).peftType];
  return 'name' in each ? [each.name as string] : [];
}

function isOurs(kind: ContributionKind, each: object, name: string): boolean {
  if (kind !== 'operators') return kinds[kind].own?.includes(name) ?? false;
  const { domain, op, gradient } = each as OperatorRule;
  return gradient !== undefined && isKnownDomain({ domain }) && Object.hasOwn(gradientRules, op);
}

function clash(kind: ContributionKind, name: string, first: string, second: string): OnnxLoraError {
  const [who, remedy] =
    first === 'the SDK'
      ? [`The SDK and "${second}" have`, 'The author of the plugin must take another name']
      : [`Both ${first} and "${second}" bring`, 'Load one of the two plugins'];
  return invalid(`${who} ${kinds[kind].word} "${name}", but names must be unique. ${remedy}.`);
}

function described(given: unknown): string {
  if (given === null || given === undefined) return String(given);
  if (Array.isArray(given)) return 'an array';
  if (typeof given === 'object') return `an object with the keys ${Object.keys(given).join(', ') || '(none)'}`;
  return `a ${typeof given}`;
}
