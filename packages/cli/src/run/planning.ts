/** @file Plans a run: reads settings, model and data, and finds all that can be wrong with them. */

import path from 'node:path';
import {
  type Adapter,
  attachHead,
  loadAdapter,
  type LoraOptions,
  type LoraPreview,
  type Model,
  modelFor,
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

/** Share of each class that is held out where the data has no part for it. */
const HOLD_OUT = 0.1;

/** What a run is to be: its settings, model and data read, and found to go together. */
export interface PlannedRun {
  readonly model: Model;
  readonly task: Task;
  readonly prepared: PreparedTask;
  readonly folder: RunFolder;
  readonly settings: ResolvedSettings;
  /** The adapter to begin with, or how to make one. */
  readonly start: { readonly from: Adapter } | { readonly lora: LoraOptions };
  readonly preview: Pick<LoraPreview, 'targets' | 'parameters' | 'tokens' | 'trainableParameters'>;
  readonly newModules: readonly string[];
  /** Whether held-out data are measured before and after. */
  readonly measures: boolean;
}

/** Makes what several plans have in common: anew for each where there is one. */
export type Shared = <T>(what: 'model' | 'data' | 'examples', key: unknown, make: () => Promise<T>) => Promise<T>;

const notShared: Shared = (_, __, make) => make();

/**
 * Finds out all that can be wrong with settings, model and data. Touches no folder.
 *
 * @param named the folder of the run; one that is not there yet without
 * @throws OnnxLoraError `CONFIG_INVALID`, `DATA_INVALID`, `TARGET_NOT_FOUND` and whatever else opening model and data can end in
 */
export async function planRun(
  given: Settings,
  context: Context,
  { named, progress, shared = notShared }: { named: RunFolder | undefined; progress: Progress; shared?: Shared },
): Promise<PlannedRun> {
  const registry = context.registry;
  const source = requireFlag(given.data, 'data', 'name the data to train on');
  // What these say is read, before anything else is.
  loraOptions(given);
  requireTogether(given);
  requireTrackers(given.track, registry);
  // Whether held-out data, where there is such, is measured before and after.
  const measures = given.eval ?? true;
  const data = await shared('data', source, () => pathOfData(source, registry, progress));
  const base = [requireModel(given.model), given.fix, given.precision];
  const model = await shared('model', base, () => openNamed(given.model, context, given));
  const begun = await adapterToBegin(given);
  const own = begun ? modelFor<Model>(model, begun.adapter) : model;
  const factory = await chooseTask(given.task, model, context, (line) => progress.intro(line), begun);
  const folder = named ?? RunFolder.unused(data, factory.name);
  const original = given.original === undefined ? undefined : await openNamed(given.original, context, given);
  const targets = given.targets ?? (begun ? [] : [...previewLora(model, loraOptions(given, original)).targets]);
  const settings = resolveSettings(
    // By their kinds, so that config.yaml has a number as a number.
    withTaskSettings(given, factory),
    {
      model: model.name,
      data: source,
      task: factory.name,
      // Without targets the family chose; the choice is written down.
      ...(targets.length > 0 ? { targets } : {}),
      ...(context.plugins.length > 0 ? { plugins: [...context.plugins] } : {}),
      out: folder.path,
    },
    factory.defaults,
  );
  // What is trained is measured, unless it is said that nothing be held out (--validation 0).
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

/** Settings that say how a new adapter is made. */
const ofNewAdapters: readonly SettingName[] = [...adapterSettings, 'init', 'original', 'initBatches'];

/**
 * The adapter that the run begins with.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` where settings describe a new one too, or the run would replace the adapter
 */
async function adapterToBegin(given: Settings): Promise<ChosenAdapter | undefined> {
  const { from: source } = given;
  if (source === undefined) return undefined;
  const other = ofNewAdapters.find((name) => given[name] !== undefined);
  if (other !== undefined)
    throw usageError(
      `--from begins with an adapter that says what is adapted and how, and ${flagOf(other)} says how a new one is made. Leave one of them out.`,
    );
  if (given.out !== undefined) requireOther(path.join(given.out, 'adapter'), [source]);
  return { adapter: await loadAdapter(source), source };
}

/** What is trained, and the modules among it that begin anew. */
interface Previewed {
  readonly preview: Pick<LoraPreview, 'targets' | 'parameters' | 'tokens' | 'trainableParameters'>;
  readonly newModules: readonly string[];
}

/** What is trained of an adapter that is there already. */
async function previewOf({ adapter }: ChosenAdapter, model: Model, { head }: PreparedTask): Promise<Previewed> {
  const { tunings } = await model.place(adapter);
  const targets = tunings.flatMap(({ tuning }) => (tuning.parameter ? [] : [tuning.path]));
  const preview = { targets, parameters: [], tokens: [], trainableParameters: adapter.parameterCount };
  return { preview, newModules: head ? attachHead<Model>(model, head).modules : [] };
}

/** What is trained, with the head that the labels need where the model has none for them. */
function previewWithHead(model: Model, { head }: PreparedTask, lora: LoraOptions): Previewed {
  if (!head) return { preview: previewLora(model, lora), newModules: [] };
  const { model: headed, modules } = attachHead<Model>(model, head);
  const saved = new Set([...(lora.modulesToSave ?? []), ...modules]);
  return { preview: previewLora(headed, { ...lora, modulesToSave: [...saved] }), newModules: modules };
}

/** Reads the data once for training and both evaluations, so that files are decoded once. */
async function prepareOnce(task: Task, model: Model): Promise<{ task: Task; prepared: PreparedTask }> {
  const prepared = await task.prepare(model);
  return { task: { name: task.name, prepare: () => Promise.resolve(prepared) }, prepared };
}
