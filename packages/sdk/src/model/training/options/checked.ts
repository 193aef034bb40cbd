/** @file Checks the options of `train` and fills in defaults. */

import { didYouMean, OnnxLoraError } from '../../../errors.ts';
import type { Metrics } from '../../../statistics/measure.ts';
import type { PreparedTask } from '../../../plugin/preparedTask.ts';
import type { PluginRegistry } from '../../../plugin/registry/loadPlugins.ts';
import { type OptionNames, knownOptions } from '../../../knownOptions.ts';
import { withoutUndefined } from '../../../plugin/withoutUndefined.ts';
import { settingSchema, type SettingInfo } from '../../../plugin/settings.ts';
import type { MetricChoice } from '../../../statistics/metricChoice.ts';
import { checkMachine } from '../../../runtime/providers/providers.ts';
import { loraPlus, type ParameterGroup, withoutDecay } from '../../../train/groups.ts';
import { createOptimizer, optimizerNames, type OptimizerOptions } from '../../../train/optimizers/named.ts';
import type { Optimizer } from '../../../train/optimizers/optimizer.ts';
import { scheduleOf } from '../../../train/schedules/schedule.ts';
import type { Transformation } from '../../../train/transformation.ts';
import { requireTask } from '../../loaded/argumentChecks.ts';
import type { Model } from '../../loaded/model.ts';
import { whole } from '../../../checks.ts';
import type { AnyOptionRow, AnyOptionRows } from './optionRow.ts';
import { type CheckedOptions, trainDefaults, type TrainOptions, trainOptionRows } from './options.ts';

/** Rejects unknown names in the options of `train` and of each nested object. */
const requireKnown: ReadonlyMap<string, (given: unknown) => void> = new Map(
  Object.entries({ train: { fields: trainOptionRows }, ...trainOptionRows } as AnyOptionRows).flatMap(
    ([name, { fields }]) => (fields ? [[name, knownOptions(name, fields as unknown as OptionNames<unknown>)]] : []),
  ),
);

/** The metric for the best evaluation; undefined for the task's own. */
export function metricOf({ metric }: TrainOptions): MetricChoice | undefined {
  return typeof metric === 'string' ? { name: metric } : metric;
}

/**
 * Checks each option against its row and fills in defaults.
 * @throws OnnxLoraError `CONFIG_INVALID` for unknown, invalid or contradictory options; `PROVIDER_UNAVAILABLE`
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
  const options = { ...trainDefaults, ...(withoutUndefined(given) as TrainOptions<During>) };
  const { steps, from, lora, optimizer, schedule, warmupSteps } = options;
  // Zero steps return the adapter in `from` unchanged.
  const isNone = steps === 0 && from !== undefined;
  checkRows(trainOptionRows, { ...options, ...(isNone && { steps: undefined }) });
  if (from !== undefined && lora !== undefined)
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'from starts from an adapter with its own settings, and lora has the settings of a new one. Leave one of them out.',
    );
  // Created only to throw early: training creates them again.
  optimizerOf(optimizer, registry);
  scheduleOf(schedule, { steps: steps || 1, warmup: warmupSteps });
  return options;
}

/** @throws OnnxLoraError `CONFIG_INVALID` for a value that its row rejects */
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

/** All parameter groups. Later ones override earlier ones, so the user's come last. */
export function groupsOf({ weightDecay, loraPlusRatio, groups = [], lr }: CheckedOptions): ParameterGroup[] {
  return [
    ...(weightDecay === undefined ? [] : [{ match: () => true, weightDecay }]),
    withoutDecay,
    ...(loraPlusRatio === undefined ? [] : loraPlus({ ratio: loraPlusRatio, lr })),
    ...groups,
  ];
}

/** The transformations around the optimizer's step, in the order of the rows. */
export function transformationsOf(options: CheckedOptions): Transformation[] {
  return Object.entries(trainOptionRows).flatMap(([name, { transformation }]) => {
    const value = options[name as keyof CheckedOptions];
    return !transformation || value === undefined || value === false ? [] : transformation(value as never);
  });
}

/** Steps between evaluations; undefined without evaluation. */
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

/** @throws OnnxLoraError `PLUGIN_INVALID` if functions of an optimizer are missing */
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
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown name or invalid settings; `PLUGIN_INVALID` for an object that
 *   is no optimizer
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
