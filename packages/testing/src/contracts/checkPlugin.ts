/** @file What must hold of a plugin: each thing that it brings, by the check of its kind. */

import { OnnxLoraError, type Model, loadPlugins } from '@onnx-lora/sdk';
import type { Task } from '@onnx-lora/sdk/tasks';
import type {
  FinishedRun,
  OperatorRule,
  Contributions,
  Plugin,
  PreprocessorFactory,
  TaskFactory,
} from '@onnx-lora/sdk/plugin';
import { operatorName } from '@onnx-lora/sdk/core';
import { checkOperator } from '../gradients/checkOperator.ts';
import { call, failed, findingsLater } from '../failures.ts';
import type { OperatorCase } from '../gradients/operands.ts';
import { type BuilderExamples, checkBuilder } from './checkBuilder.ts';
import { checkDataset, type DatasetExamples } from './checkDataset.ts';
import { checkFamily, type FamilyExamples } from './checkFamily.ts';
import { checkInitializer } from './checkInitializer.ts';
import { checkOptimizer } from './checkOptimizer.ts';
import { checkPreprocessor, type PreprocessorExamples } from './checkPreprocessor.ts';
import { checkProvider } from './checkProvider.ts';
import { checkSection } from './checkSection.ts';
import { checkTracker, type TrackerExamples } from './checkTracker.ts';
import { checkTuner } from './checkTuner.ts';
import { checkTask, type CheckTaskOptions } from './checkTask.ts';

/** By what a plugin is checked. */
export interface PluginExamples {
  /** Plugins that bring what it needs. */
  readonly plugins?: readonly Plugin[];
  /** Models by name of the family. */
  readonly families?: Readonly<Record<string, FamilyExamples>>;
  /** Cases by operator, `com.microsoft:Inverse`. */
  readonly operators?: Readonly<Record<string, readonly OperatorCase[]>>;
  /** A config and files for each of its preprocessors. */
  readonly preprocessors?: readonly PreprocessorExamples[];
  /** A task on some data for each of its factories, and a small model for it. */
  readonly tasks?: readonly PluginTask[];
  /** A source by name of the dataset. */
  readonly datasets?: Readonly<Record<string, DatasetExamples>>;
  /** A folder by name of the builder. */
  readonly builders?: Readonly<Record<string, BuilderExamples>>;
  /** What trackers are told of the run, by name, where they need settings. */
  readonly trackers?: Readonly<Record<string, TrackerExamples>>;
  /** What the finished run is, by name of the section, for those that only some runs have. */
  readonly sections?: Readonly<Record<string, Partial<FinishedRun>>>;
}

/** A task of a plugin, ready to be checked. */
export interface PluginTask extends CheckTaskOptions {
  /** The task, on data of your own. */
  readonly task: Task<never> | Task;
  /** The model that it is checked with. */
  readonly model: Model;
}

/**
 * Checks a plugin as a whole: it can be loaded, and each thing that it brings passes the check of its kind. A family, an operator,
 * a preprocessor, a task, a dataset or a builder without an example is a problem too; the others need none.
 *
 * @example
 * const found = await checkPlugin(cellsPlugin, {
 *   plugins: [visionPlugin],
 *   families: { 'cell-net': { own: [facts] } },
 *   tasks: [{ task: cellCounting('fixtures/cells'), model }],
 * });
 * assert.deepEqual(found, []);
 *
 * @returns what does not hold, each with what it is about; nothing where all does
 */
export async function checkPlugin(plugin: Plugin, examples: PluginExamples = {}): Promise<string[]> {
  let brought: Contributions;
  try {
    brought = loadPlugins([...(examples.plugins ?? []), plugin]).broughtBy(plugin);
  } catch (error) {
    return [error instanceof OnnxLoraError ? error.message : failed('loading it', error)];
  }
  const problems: string[] = [];
  const about = async (what: string, check: () => string[] | Promise<string[]>): Promise<void> => {
    const found = await findingsLater(async () => check());
    problems.push(...found.map((each) => `${what}: ${each}`));
  };
  for (const family of brought.families)
    await about(`family "${family.name}"`, () => checkFamily(family, examples.families?.[family.name] ?? { own: [] }));
  for (const rule of brought.operators)
    await about(`operator "${nameOf(rule)}"`, () => operatorProblems(rule, examples, brought));
  for (const [i, factory] of brought.preprocessors.entries()) {
    const name = `preprocessor ${i + 1} of ${brought.preprocessors.length} (${factory.domain})`;
    await about(name, () => preprocessorProblems(factory, examples));
  }
  for (const factory of brought.tasks) await about(`task "${factory.name}"`, () => taskProblems(factory, examples));
  for (const factory of brought.initializers)
    await about(`initialiser "${factory.name}"`, () => checkInitializer(() => factory.create()));
  for (const factory of brought.optimizers)
    await about(`optimizer "${factory.name}"`, () => checkOptimizer(() => factory.create({})));
  for (const tuner of brought.tuners) await about(`tuner "${tuner.name}"`, () => checkTuner(tuner));
  for (const dataset of brought.datasets) {
    const given = examples.datasets?.[dataset.name];
    await about(`dataset "${dataset.name}"`, () =>
      given ? checkDataset(dataset, given) : ['there is no example of its source'],
    );
  }
  for (const builder of brought.builders) {
    const given = examples.builders?.[builder.name];
    await about(`builder "${builder.name}"`, () =>
      given ? checkBuilder(builder, given) : ['there is no example of its folder'],
    );
  }
  for (const factory of brought.providers) await about(`provider "${factory.name}"`, () => checkProvider(factory));
  for (const factory of brought.trackers)
    await about(`tracker "${factory.name}"`, () => checkTracker(factory, examples.trackers?.[factory.name]));
  for (const factory of brought.sections)
    await about(`section "${factory.name}"`, () => checkSection(factory, examples.sections?.[factory.name]));
  return problems;
}

async function preprocessorProblems(
  factory: PreprocessorFactory,
  { preprocessors = [] }: PluginExamples,
): Promise<string[]> {
  const given = preprocessors.find(({ config }) => call('recognises', () => factory.recognises(config)));
  return given ? checkPreprocessor(factory, given) : ['there is no example of its config'];
}

async function taskProblems(
  { name, description, settings }: TaskFactory,
  { tasks = [] }: PluginExamples,
): Promise<string[]> {
  const given = tasks.filter(({ task }) => task.name === name);
  const found = given.length === 0 ? ['there is no example of it on data'] : [];
  if (description.trim() === '') found.push('it has no description');
  for (const setting of settings?.rows ?? [])
    if (!/^[a-z][A-Za-z0-9]*$/.test(setting.name)) found.push(`the setting "${setting.name}" is not in camel case`);
  for (const { task, model, ...options } of given) found.push(...(await checkTask(task as Task, model, options)));
  return found;
}

function nameOf({ domain, op }: OperatorRule): string {
  return operatorName(domain, op);
}

async function operatorProblems(
  rule: OperatorRule,
  { operators = {} }: PluginExamples,
  brought: Contributions,
): Promise<string[]> {
  if (!rule.gradient) return [];
  const cases = operators[nameOf(rule)] ?? [];
  if (cases.length === 0) return ['there is no case for its gradient'];
  const problems: string[] = [];
  for (const each of cases) {
    try {
      const found = await checkOperator(rule.op, { domain: rule.domain, ...each }, { operators: brought.operators });
      problems.push(...found.flatMap(({ problem }) => problem ?? []));
    } catch (error) {
      if (!(error instanceof OnnxLoraError)) throw error;
      problems.push(error.message);
    }
  }
  return problems;
}
