/** @file The options of a training, checked and with their defaults, before anything begins. */

import { didYouMean, OnnxLoraError } from '../../../errors.ts';
import type { Metrics } from '../../../statistics/measure.ts';
import type { PreparedTask } from '../../../plugin/preparedTask.ts';
import type { PluginRegistry } from '../../../plugin/registry/loadPlugins.ts';
import { type Known, knownOptions } from '../../../knownOptions.ts';
import { defined } from '../../../plugin/defined.ts';
import { settingSchema, type SettingInfo } from '../../../plugin/settings.ts';
import type { MetricChoice } from '../../../statistics/metricChoice.ts';
import { checkMachine } from '../../../runtime/providers/providers.ts';
import { loraPlus, type ParameterGroup, withoutDecay } from '../../../train/groups.ts';
import { createOptimizer, optimizerNames, type OptimizerOptions } from '../../../train/optimizers/named.ts';
import type { Optimizer } from '../../../train/optimizers/optimizer.ts';
import { scheduleOf } from '../../../train/schedules/schedule.ts';
import type { Transformation } from '../../../train/transformation.ts';
import { requireTask } from '../../loaded/givenArguments.ts';
import type { Model } from '../../loaded/model.ts';
import { whole } from '../../../checks.ts';
import type { AnyOptionRow, AnyOptionRows } from './optionRow.ts';
import { type CheckedOptions, trainDefaults, type TrainOptions, trainOptionRows } from './options.ts';

/** Refuses names that are no option, of `train` and of each option that is an object. */
const requireKnown: ReadonlyMap<string, (given: unknown) => void> = new Map(
  Object.entries({ train: { fields: trainOptionRows }, ...trainOptionRows } as AnyOptionRows).flatMap(
    ([name, { fields }]) => (fields ? [[name, knownOptions(name, fields as unknown as Known<unknown>)]] : []),
  ),
);

/** The metric that says which evaluation is the best; undefined for the task's own. */
export function metricOf({ metric }: TrainOptions): MetricChoice | undefined {
  return typeof metric === 'string' ? { name: metric } : metric;
}

/**
 * The options with their defaults, each checked against its row.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for an option that there is not, a value out of its bounds, or options that exclude each other;
 *   `PROVIDER_UNAVAILABLE`
 */
export function checked<During extends Metrics>(
  given: TrainOptions<During>,
  registry: Model['registry'],
): CheckedOptions<During> {
  requireKnown.get('train')!(given);
  requireTask('train', given.task);
  checkMachine(
    given,
    registry.providers.map(({ name }) => name),
  );
  const options = { ...trainDefaults, ...(defined(given) as TrainOptions<During>) };
  const { steps, from, lora, optimizer, schedule, warmupSteps } = options;
  // None gives the adapter that the run begins with.
  const isNone = steps === 0 && from !== undefined;
  checkRows(trainOptionRows, { ...options, ...(isNone && { steps: undefined }) });
  if (from !== undefined && lora !== undefined)
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'from names the adapter to begin with, which says what is adapted and how, and lora says so too. Leave one of them out.',
    );
  // Made again when they are needed; what is wrong with them is told now.
  optimizerOf(optimizer, registry);
  scheduleOf(schedule, { steps: steps || 1, warmup: warmupSteps });
  return options;
}

/** @throws OnnxLoraError `CONFIG_INVALID` for a value that its row does not take */
function checkRows(rows: AnyOptionRows, given: object, path: readonly string[] = []): void {
  for (const [name, row] of Object.entries(rows)) {
    const value = (given as Readonly<Record<string, unknown>>)[name];
    if (value !== undefined || row.required) checkValue([...path, name], row, value);
  }
}

function checkValue(path: readonly string[], row: AnyOptionRow, value: unknown): void {
  const name = path.join('.');
  const isObject = typeof value === 'object' && value !== null;
  const { fields, kind, orObject, of = [], or = [] } = row;
  if (isObject && (fields || orObject)) {
    requireKnown.get(name)?.(value);
    checkRows(fields ?? {}, value, path);
    return;
  }
  if (kind === undefined && !fields) return;
  const told = kind
    ? settingSchema(row as SettingInfo).safeParse(value).error?.issues[0]!.message
    : `must be an object with ${Object.keys(fields!).join(', ')}`;
  if (told === undefined) return;
  const hint = typeof value === 'string' ? didYouMean(value, [...of, ...or]) : '';
  const shown = isObject ? 'an object' : typeof value === 'string' ? `"${value}"` : String(value);
  throw new OnnxLoraError('CONFIG_INVALID', `${name} ${told}, but it is ${shown}.${hint}`);
}

/** The groups of all options together: what is said in general first, what the user says last. */
export function groupsOf({ weightDecay, loraPlusRatio, groups = [], lr }: CheckedOptions): ParameterGroup[] {
  return [
    ...(weightDecay === undefined ? [] : [{ match: () => true, weightDecay }]),
    withoutDecay,
    ...(loraPlusRatio === undefined ? [] : loraPlus({ ratio: loraPlusRatio, lr })),
    ...groups,
  ];
}

/** What stands around the optimizer's step: the transformations of the options, in the order of their rows. */
export function transformationsOf(options: CheckedOptions): Transformation[] {
  return Object.entries(trainOptionRows).flatMap(([name, { transformation }]) => {
    const value = options[name as keyof CheckedOptions];
    return !transformation || value === undefined || value === false ? [] : [transformation(value as never)];
  });
}

/** Steps from one evaluation to the next; undefined where there are none. */
export function evaluationSteps(
  { evaluateEvery, earlyStopping, loadBest }: TrainOptions,
  data: PreparedTask,
  perStep: number,
): number | undefined {
  const every = evaluateEvery ?? (earlyStopping || loadBest ? 'epoch' : undefined);
  if (every === undefined) return undefined;
  if (!data.validation || data.validation.length === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      'The task holds no data out, so evaluateEvery, earlyStopping and loadBest have nothing to measure. Hold data out (for images, validation: 0.2), or leave them out.',
    );
  }
  return every === 'epoch' ? Math.max(1, Math.round(data.train.length / perStep)) : whole('evaluateEvery', every);
}

/** @throws OnnxLoraError `PLUGIN_INVALID` for an object without the functions of an optimizer */
function requireOptimizer(optimizer: Optimizer): Optimizer {
  const given = optimizer as unknown as Readonly<Record<string, unknown>>;
  const missing = ['init', 'update'].filter((each) => typeof given[each] !== 'function');
  if (missing.length === 0) return optimizer;
  throw new OnnxLoraError(
    'PLUGIN_INVALID',
    `The optimizer "${optimizer.name}" has no function ${missing.join(' and no function ')}. Give it the functions of Optimizer in @onnx-lora/sdk/plugin.`,
  );
}

/**
 * @throws OnnxLoraError `CONFIG_INVALID` for a name that nobody brings, and for settings that cannot be; `PLUGIN_INVALID` for
 *   an optimizer without the functions of one
 */
export function optimizerOf(
  given: NonNullable<TrainOptions['optimizer']>,
  { optimizers }: Pick<PluginRegistry, 'optimizers'>,
): Optimizer {
  if (typeof given === 'object' && 'update' in given) return requireOptimizer(given as Optimizer);
  const { name, ...settings } = typeof given === 'string' ? { name: given } : given;
  const brought = optimizers.find((each) => each.name === name);
  if (brought) return requireOptimizer(brought.create(settings));
  if (optimizerNames.some((each) => each === name)) return createOptimizer({ name, ...settings } as OptimizerOptions);
  const names = [...optimizerNames, ...optimizers.map((each) => each.name)];
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `There is no optimizer "${name}".${didYouMean(String(name), names)} Choose one of ${names.join(', ')}.`,
  );
}
