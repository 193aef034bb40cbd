/** @file Plans a run: reads settings, model and data, and finds all that can be wrong with them. */

import path from 'node:path';
import {
  type Adapter,
  attachHead,
  loadAdapter,
  type LoraOptions,
  type LoraPreview,
  type Model,
  modelForAdapter,
  previewLora,
} from '@onnx-lora/sdk';
import { type PreparedTask, requireExamples, requireMetric, type Task } from '@onnx-lora/sdk/tasks';
import { chooseTask } from '../chosenTask.ts';
import type { Context } from '../context.ts';
import { pathOfData } from '../plugins/dataset.ts';
import { requireTrackers } from '../plugins/trackers.ts';
import { adapterSettings, loraOptions } from '../settings/adapter.ts';
import { withTaskSettings } from '../settings/readSettings.ts';
import { type ResolvedSettings, resolveSettings } from '../settings/runConfig.ts';
import type { SettingName, Settings } from '../settings/setting.ts';
import { flagOf } from '../settings/settings.ts';
import { metricChoice, requireTogether } from '../settings/training.ts';
import { type ChosenAdapter, openNamed, requireFlag, requireModel, requireOther, taskOptions } from '../sources.ts';
import { usageError } from '../terminal/errors.ts';
import type { Progress } from '../terminal/progress.ts';
import { RunFolder } from './runFolder.ts';

/** Share of each class held out when the data has no split. */
const HOLD_OUT = 0.1;

export interface PlannedRun {
  readonly model: Model;
  readonly task: Task;
  readonly prepared: PreparedTask;
  readonly folder: RunFolder;
  readonly settings: ResolvedSettings;
  /** The adapter to start from, or how to create one. */
  readonly start: { readonly from: Adapter } | { readonly lora: LoraOptions };
  readonly preview: Pick<LoraPreview, 'targets' | 'parameters' | 'tokens' | 'trainableParameters'>;
  readonly newModules: readonly string[];
  /** Whether held-out data is measured before and after. */
  readonly measures: boolean;
}

/** Caches what several plans share. */
export type Shared = <T>(what: 'model' | 'data' | 'examples', key: unknown, make: () => Promise<T>) => Promise<T>;

const notShared: Shared = (_, __, make) => make();

/**
 * Plans a run and finds all errors of settings, model and data. Touches no folder.
 * @param named the run's folder; a new one by default
 * @throws OnnxLoraError `CONFIG_INVALID`, `DATA_INVALID`, `TARGET_NOT_FOUND`; as opening model and data
 */
export async function planRun(
  given: Settings,
  context: Context,
  { named, progress, shared = notShared }: { named: RunFolder | undefined; progress: Progress; shared?: Shared },
): Promise<PlannedRun> {
  const registry = context.registry;
  const source = requireFlag(given.data, 'data', 'name the data to train on');
  loraOptions(given);
  requireTogether(given);
  requireTrackers(given.track, registry);
  const measures = given.eval ?? true;
  const data = await shared('data', source, () => pathOfData(source, registry, progress));
  const base = [requireModel(given.model), given.fix, given.precision];
  const model = await shared('model', base, () => openNamed(given.model, context, given));
  const begun = await adapterToBegin(given);
  const own = begun ? modelForAdapter<Model>(model, begun.adapter) : model;
  const factory = await chooseTask(given.task, model, context, (line) => progress.intro(line), begun);
  const folder = named ?? RunFolder.unused(data, factory.name);
  const original = given.original === undefined ? undefined : await openNamed(given.original, context, given);
  const targets = given.targets ?? (begun ? [] : [...previewLora(model, loraOptions(given, original)).targets]);
  const settings = resolveSettings(
    withTaskSettings(given, factory),
    {
      model: model.name,
      data: source,
      task: factory.name,
      // Writes down the family's choice of targets.
      ...(targets.length > 0 ? { targets } : {}),
      ...(context.plugins.length > 0 ? { plugins: [...context.plugins] } : {}),
      out: folder.path,
    },
    factory.defaults,
  );
  // Holds data out unless --validation 0 says not to.
  const holdOut = given.validation === undefined && measures ? { holdOut: HOLD_OUT } : {};
  const options = { ...taskOptions(settings, data, settings.seed), ...holdOut };
  const { task, prepared } = await shared('examples', [base, factory.name, given.from, options], () =>
    prepareOnce(factory.create(options), own),
  );
  requireExamples(prepared);
  const holdsOut = prepared.validation !== undefined;
  if (given.validation !== undefined && given.validation !== 0 && !holdsOut) {
    throw usageError(`The task "${factory.name}" holds no data out, so --validation has no use. Leave it out.`);
  }
  requireMetric(settings.metric === undefined ? undefined : metricChoice(settings.metric), () =>
    prepared.metrics().result(),
  );
  const lora = loraOptions(settings, original);
  const { preview, newModules } = begun
    ? await previewOf(begun, own, prepared)
    : previewWithHead(model, prepared, lora);
  const start = begun ? { from: begun.adapter } : { lora };
  return { model, task, prepared, folder, settings, start, preview, newModules, measures: measures && holdsOut };
}

const ofNewAdapters: readonly SettingName[] = [...adapterSettings, 'init', 'original', 'initBatches'];

/**
 * Loads the adapter to start from.
 * @throws OnnxLoraError `CONFIG_INVALID` where settings also describe a new adapter, or the run would replace this one
 */
async function adapterToBegin(given: Settings): Promise<ChosenAdapter | undefined> {
  const { from: source } = given;
  if (source === undefined) return undefined;
  const other = ofNewAdapters.find((name) => given[name] !== undefined);
  if (other !== undefined)
    throw usageError(
      `--from starts from an adapter with its own settings, and ${flagOf(other)} is a setting of a new one. Leave one of them out.`,
    );
  if (given.out !== undefined) requireOther(path.join(given.out, 'adapter'), [source]);
  return { adapter: await loadAdapter(source), source };
}

/** Trained modules, and the new ones among them. */
interface Previewed {
  readonly preview: Pick<LoraPreview, 'targets' | 'parameters' | 'tokens' | 'trainableParameters'>;
  readonly newModules: readonly string[];
}

/** Preview of an existing adapter. */
async function previewOf({ adapter }: ChosenAdapter, model: Model, { head }: PreparedTask): Promise<Previewed> {
  const { tunings } = await model.place(adapter);
  const targets = tunings.flatMap(({ tuning }) => (tuning.parameter ? [] : [tuning.path]));
  const preview = { targets, parameters: [], tokens: [], trainableParameters: adapter.parameterCount };
  return { preview, newModules: head ? attachHead<Model>(model, head).modules : [] };
}

/** Preview of a new adapter, with the head that the labels need. */
function previewWithHead(model: Model, { head }: PreparedTask, lora: LoraOptions): Previewed {
  if (!head) return { preview: previewLora(model, lora), newModules: [] };
  const { model: headed, modules } = attachHead<Model>(model, head);
  const saved = new Set([...(lora.modulesToSave ?? []), ...modules]);
  return { preview: previewLora(headed, { ...lora, modulesToSave: [...saved] }), newModules: modules };
}

/** Prepares the task once for training and both evaluations. */
async function prepareOnce(task: Task, model: Model): Promise<{ task: Task; prepared: PreparedTask }> {
  const prepared = await task.prepare(model);
  return { task: { name: task.name, prepare: () => Promise.resolve(prepared) }, prepared };
}
