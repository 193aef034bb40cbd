/** @file What must hold of a plugin: each thing that it brings, by the check of its kind. */

import { OnnxLoraError } from '../../errors.ts';
import { operatorName } from '../../graph/knownOperators.ts';
import type { Model } from '../../model/model.ts';
import type { OperatorRule } from '../../plugin/contributions.ts';
import type { Contributions, Plugin } from '../../plugin/definePlugin.ts';
import { loadPlugins } from '../../plugin/loadPlugins.ts';
import type { Task } from '../../plugin/task.ts';
import { checkOperator } from '../gradients/checkOperator.ts';
import type { OperatorCase } from '../gradients/operands.ts';
import { checkFamily, type FamilyExamples } from './checkFamily.ts';
import { checkInitializer } from './checkInitializer.ts';
import { checkOptimizer } from './checkOptimizer.ts';
import { checkPreprocessor, type PreprocessorExamples } from './checkPreprocessor.ts';
import { checkTuner } from './checkTuner.ts';
import { checkTask, type CheckTaskOptions } from './checkTask.ts';

/** By what a plugin is checked. */
export interface PluginExamples {
  /** Plugins whose capabilities it needs. */
  readonly plugins?: readonly Plugin[];
  /** Models by name of the family. */
  readonly families?: Readonly<Record<string, FamilyExamples>>;
  /** Cases by operator, `com.microsoft:Inverse`. */
  readonly operators?: Readonly<Record<string, readonly OperatorCase[]>>;
  /** A config and files for each of its preprocessors. */
  readonly preprocessors?: readonly PreprocessorExamples[];
  /** A task on some data for each of its factories, and a small model for it. */
  readonly tasks?: readonly PluginTask[];
}

/** A task of a plugin, ready to be checked. */
export interface PluginTask extends CheckTaskOptions {
  /** The task, on data of your own. */
  readonly task: Task<never> | Task;
  /** The model that it is checked with. */
  readonly model: Model;
}

/**
 * Checks a plugin as a whole: it can be loaded, and each family, operator, preprocessor, task, initialiser, optimizer and tuner that
 * it brings passes the check of its kind. One without the example that it needs is a problem too.
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
    if (error instanceof OnnxLoraError) return [error.message];
    throw error;
  }
  const about = (what: string, problems: readonly string[]): string[] => problems.map((each) => `${what}: ${each}`);
  const problems: string[] = [];
  for (const family of brought.families) {
    const given = examples.families?.[family.name] ?? { own: [] };
    problems.push(...about(`family "${family.name}"`, checkFamily(family, given)));
  }
  for (const rule of brought.operators)
    problems.push(...about(`operator "${nameOf(rule)}"`, await operatorProblems(rule, examples, brought)));
  for (const [i, factory] of brought.preprocessors.entries()) {
    const given = examples.preprocessors?.find(({ config }) => factory.recognises(config));
    problems.push(
      ...about(
        `preprocessor ${i} of ${factory.domain}`,
        given ? await checkPreprocessor(factory, given) : ['there is no example of its config'],
      ),
    );
  }
  for (const { name, description, settings = [] } of brought.tasks) {
    const given = examples.tasks?.filter(({ task }) => task.name === name) ?? [];
    const found = given.length === 0 ? ['there is no example of it on data'] : [];
    if (description.trim() === '') found.push('it has no description');
    for (const setting of settings)
      if (!/^[a-z][A-Za-z0-9]*$/.test(setting.name)) found.push(`the setting "${setting.name}" is not in camel case`);
    for (const { task, model, ...options } of given) found.push(...(await checkTask(task as Task, model, options)));
    problems.push(...about(`task "${name}"`, found));
  }
  for (const factory of brought.initializers)
    problems.push(
      ...about(
        `initialiser "${factory.name}"`,
        checkInitializer(() => factory.create()),
      ),
    );
  for (const factory of brought.optimizers)
    problems.push(
      ...about(
        `optimizer "${factory.name}"`,
        checkOptimizer(() => factory.create({})),
      ),
    );
  for (const tuner of brought.tuners) problems.push(...about(`tuner "${tuner.name}"`, await checkTuner(tuner)));
  return problems;
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
