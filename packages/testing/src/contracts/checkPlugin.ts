/** @file Checks a plugin: each contribution by the check of its kind. */

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

/** Input of {@link checkPlugin}. */
export interface PluginExamples {
  /** Plugins that it needs. */
  readonly plugins?: readonly Plugin[];
  /** Models by family. */
  readonly families?: Readonly<Record<string, FamilyExamples>>;
  /** Cases by operator: `com.microsoft:Inverse`. */
  readonly operators?: Readonly<Record<string, readonly OperatorCase[]>>;
  /** A config and files for each preprocessor. */
  readonly preprocessors?: readonly PreprocessorExamples[];
  /** A task on data with a small model, for each task. */
  readonly tasks?: readonly PluginTask[];
  /** A source for each dataset. */
  readonly datasets?: Readonly<Record<string, DatasetExamples>>;
  /** A folder for each builder. */
  readonly builders?: Readonly<Record<string, BuilderExamples>>;
  /** Settings of the run, for trackers that need them. */
  readonly trackers?: Readonly<Record<string, TrackerExamples>>;
  /** Properties of the finished run, for sections that only some runs have. */
  readonly sections?: Readonly<Record<string, Partial<FinishedRun>>>;
}

/** A task of a plugin, with a model. */
export interface PluginTask extends CheckTaskOptions {
  /** The task, on test data. */
  readonly task: Task<never> | Task;
  /** The model to check it with. */
  readonly model: Model;
}

/**
 * Checks a plugin: it loads, and each contribution passes the check of its kind. Families, operators, preprocessors,
 * tasks, datasets and builders need examples; one without is a problem.
 * @example
 * const found = await checkPlugin(cellsPlugin, {
 *   plugins: [visionPlugin],
 *   families: { 'cell-net': { own: [facts] } },
 *   tasks: [{ task: cellCounting('fixtures/cells'), model }],
 * });
 * assert.deepEqual(found, []);
 * @returns the problems found, each with its contribution; empty if there are none
 */
export async function checkPlugin(plugin: Plugin, examples: PluginExamples = {}): Promise<string[]> {
  let brought: Contributions;
  try {
    brought = loadPlugins([...(examples.plugins ?? []), plugin]).broughtBy(plugin);
  } catch (error) {
    return [error instanceof OnnxLoraError ? error.message : failed('loading it', error)];
  }
  const problems: string[] = [];
  const about = async <Part extends { readonly name: string }>(
    kind: string,
    parts: readonly Part[],
    check: (part: Part) => string[] | Promise<string[]>,
  ): Promise<void> => {
    for (const part of parts) {
      const found = await findingsLater(async () => check(part));
      problems.push(...found.map((each) => `${kind} "${part.name}": ${each}`));
    }
  };
  const { families, operators, preprocessors, datasets, builders, trackers, sections } = examples;
  await about('family', brought.families, (family) => checkFamily(family, families?.[family.name] ?? { own: [] }));
  const rules = brought.operators.map((rule) => ({ rule, name: operatorName(rule.domain, rule.op) }));
  await about('operator', rules, ({ rule, name }) => operatorProblems(rule, operators?.[name] ?? [], brought));
  for (const [i, factory] of brought.preprocessors.entries()) {
    const found = await findingsLater(() => preprocessorProblems(factory, preprocessors));
    const name = `preprocessor ${i + 1} of ${brought.preprocessors.length} (${factory.domain})`;
    problems.push(...found.map((each) => `${name}: ${each}`));
  }
  await about('task', brought.tasks, (factory) => taskProblems(factory, examples));
  await about('initialiser', brought.initializers, (factory) => checkInitializer(() => factory.create()));
  await about('optimizer', brought.optimizers, (factory) => checkOptimizer(() => factory.create({})));
  await about('tuner', brought.tuners, (tuner) => checkTuner(tuner));
  await about('dataset', brought.datasets, (dataset) => {
    const given = datasets?.[dataset.name];
    return given ? checkDataset(dataset, given) : ['there is no example of its source'];
  });
  await about('builder', brought.builders, (builder) => {
    const given = builders?.[builder.name];
    return given ? checkBuilder(builder, given) : ['there is no example of its folder'];
  });
  await about('provider', brought.providers, checkProvider);
  await about('tracker', brought.trackers, (factory) => checkTracker(factory, trackers?.[factory.name]));
  await about('section', brought.sections, (factory) => checkSection(factory, sections?.[factory.name]));
  return problems;
}

async function preprocessorProblems(
  factory: PreprocessorFactory,
  preprocessors: PluginExamples['preprocessors'] = [],
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

async function operatorProblems(
  rule: OperatorRule,
  cases: readonly OperatorCase[],
  brought: Contributions,
): Promise<string[]> {
  if (!rule.gradient) return [];
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
