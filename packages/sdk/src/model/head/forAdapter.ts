/** @file Resizes or attaches a model's head for an adapter, and completes such an adapter. */

import { Adapter } from '../../adapter/adapter.ts';
import { parseTensorName, tensorName } from '../../adapter/formats/tensorNames.ts';
import { requireShape } from '../../adapter/naming/placeTunerModules.ts';
import type { AdapterNotes } from '../../adapter/storage/adapterNotes.ts';
import { OnnxLoraError } from '../../errors.ts';
import type { Site } from '../../match/sites.ts';
import type { NewHead } from '../../plugin/preparedTask.ts';
import { float32, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import type { ModelGraph } from '../graph/modelGraph.ts';
import { headWidth } from './appendHead.ts';
import { withAttached, withLabels, withReplaced } from './attachHead.ts';
import { dynamicHeadTypes, type HeadValues, withDynamicHeads } from './replaceHead.ts';
import { scoreValues } from './scoreValues.ts';

/**
 * The model as an adapter serves it, with the adapter's number of outputs and its labels in `config`, for tasks,
 * predictors and `merge`. The adapter provides the head's weights. Returns the model itself if the adapter has no head.
 * @example
 * const birds = await loadAdapter('adapters/birds');
 * const predictor = await imageClassifier(modelFor(model, birds));
 * @throws OnnxLoraError `ADAPTER_MISMATCH` for an adapter of another base, by modules or shapes; `MODEL_UNSUPPORTED` if
 *   the graph hardcodes its number of outputs
 */
export function modelForAdapter<M extends ModelGraph>(model: M, adapter: Adapter): M {
  requireUpright(model, adapter);
  const own = withHeadOf(model, adapter);
  // Checked here, since for another model's adapter later errors would blame the labels.
  own.requireModules(adapter);
  return own;
}

function withHeadOf<M extends ModelGraph>(model: M, adapter: Adapter): M {
  const { head, labels, learned } = adapter.notes;
  const shapes = headShapes(adapter);
  if (head && !model.sites().some(({ path }) => path === head.module)) {
    const dims = shapes.get(head.module);
    const width = headWidth(model, head);
    if (dims?.length !== 2 || dims[1] !== width) {
      throw new OnnxLoraError(
        'ADAPTER_MISMATCH',
        `The adapter's head "${head.module}" reads ${dims ? dims[1] : 'an unknown number of'} features, and "${head.output}" of "${model.name}" gives ${width}. Use the base model that the adapter was trained on.`,
      );
    }
    return withAttached(model, head, zeros(dims), adapter.notes);
  }
  const resized = resizedHeads(model, adapter);
  if (resized.size > 0) {
    const values = new Map([...resized].map(([site, dims]) => [site, zeros(dims)]));
    return withReplaced(model, values, fittingNotes(adapter, [...resized.values()][0]![0]!));
  }
  if (!labels && !learned) return model;
  return model.derived({ notes: adapter.notes, ...(labels ? { config: withLabels(model.config, labels) } : {}) });
}

/**
 * The model with heads of dynamic size if adapters or reserved modules need them, and an attached head if adapters
 * bring one; otherwise the model itself.
 * @throws OnnxLoraError as {@link modelForAdapter}; `ADAPTER_MISMATCH` for heads attached in different ways
 */
export function withOpenHeads<M extends ModelGraph>(
  model: M,
  adapters: readonly Adapter[],
  reserved: readonly string[],
): M {
  const attached = attachedAlike(model, adapters);
  const base = attached[0] ? modelForAdapter(model, attached[0]) : model;
  const open = new Set(adapters.flatMap((adapter) => [...resizedHeads(base, adapter).keys()]));
  for (const site of base.sites()) {
    const isReserved = reserved.some((name) => site.path === name || site.path.endsWith(`.${name}`));
    if (isReserved && isOpenable(base, site)) open.add(site);
  }
  if (open.size === 0) return base;
  const scores = scoreValues(base, [...open]);
  return base.derived({
    model: withDynamicHeads(base.onnx.model, scores),
    types: dynamicHeadTypes(base.types(), scores),
    openHeads: new Set([...open].map(({ path }) => path)),
  });
}

/**
 * The model with the one head that all adapters share, or the model itself.
 * @param adapters by their names for errors
 * @throws OnnxLoraError as {@link modelForAdapter}; `ADAPTER_MISMATCH` for heads of different sizes, or attached in different
 *   ways
 */
export function withSharedHead<M extends ModelGraph>(model: M, adapters: Readonly<Record<string, Adapter>>): M {
  const all = Object.entries(adapters);
  const attached = attachedAlike(
    model,
    all.map(([, each]) => each),
  );
  const resized = all.flatMap(([, each]) => [...resizedHeads(model, each).keys()].map(({ path }) => path));
  for (const module of new Set([...attached.map(({ notes }) => notes.head!.module), ...resized])) {
    const own = model.sites().find(({ path }) => path === module)?.weightShape[0];
    const sizes = all.flatMap(([name, each]) => {
      const outputs = headShapes(each).get(module)?.[0] ?? own;
      return outputs === undefined ? [] : [{ name, outputs }];
    });
    const [first] = sizes;
    const other = sizes.find(({ outputs }) => outputs !== first!.outputs);
    if (!other) continue;
    throw new OnnxLoraError(
      'ADAPTER_MISMATCH',
      `The head "${module}" has ${first!.outputs} outputs with the adapter "${first!.name}" and ${other.outputs} with "${other.name}", and one file holds a head of one size. Write a file for each size.`,
    );
  }
  return all.reduce((headed, [, each]) => modelForAdapter(headed, each), model);
}

/** @throws OnnxLoraError `ADAPTER_MISMATCH` for heads attached in different ways */
function attachedAlike(model: ModelGraph, adapters: readonly Adapter[]): readonly Adapter[] {
  const paths = new Set(model.sites().map(({ path }) => path));
  const attached = adapters.filter(({ notes }) => notes.head && !paths.has(notes.head.module));
  const other = attached.find(({ notes }) => JSON.stringify(notes.head) !== JSON.stringify(attached[0]!.notes.head));
  if (!other) return attached;
  throw new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `The adapters attach their heads in different ways: one reads ${described(attached[0]!)}, another ${described(other)}. Take those of one head at a time.`,
  );
}

/** Layers that the adapter resizes, with the shapes of its weights. */
function resizedHeads(model: ModelGraph, adapter: Adapter): Map<Site, readonly number[]> {
  const shapes = headShapes(adapter);
  if (shapes.size === 0) return new Map();
  return new Map(
    model.sites().flatMap((site) => {
      const dims = shapes.get(site.path);
      const [out, ...rest] = site.weightShape;
      const isOther = dims !== undefined && dims[0] !== out && dims.slice(1).join() === rest.join();
      return isOther && !model.openHeads.has(site.path) ? [[site, dims] as const] : [];
    }),
  );
}

/** @throws OnnxLoraError `ADAPTER_MISMATCH` for a head with transposed weight, which its bias alone would not reveal */
function requireUpright(model: ModelGraph, adapter: Adapter): void {
  const shapes = headShapes(adapter);
  if (shapes.size === 0) return;
  for (const { path, weightShape } of model.sites()) {
    const dims = shapes.get(path);
    if (dims?.length === 2 && dims[1] !== weightShape[1] && dims[0] === weightShape[1])
      requireShape(`${path}.weight of the adapter`, dims, weightShape, model.name);
  }
}

function headShapes({ tensors }: Adapter): Map<string, readonly number[]> {
  return new Map(
    [...tensors].flatMap(([name, { dims }]) => {
      const { module, role, parameter } = parseTensorName(name);
      return role === 'parameter' && parameter === 'weight' ? [[module, dims] as const] : [];
    }),
  );
}

/** Keeps the labels only if they match the number of outputs. */
function fittingNotes({ notes }: Adapter, outputs: number): Adapter['notes'] {
  const { labels, ...rest } = notes;
  return labels?.length === outputs ? notes : rest;
}

function isOpenable(model: ModelGraph, site: Site): boolean {
  try {
    scoreValues(model, [site]);
    return true;
  } catch (error) {
    if (error instanceof OnnxLoraError) return false;
    throw error;
  }
}

function zeros(dims: readonly number[]): HeadValues {
  const tensor = (own: readonly number[]): Tensor => float32(new Float32Array(sizeOf(own)), own);
  return { weight: tensor(dims), bias: tensor([dims[0]!]) };
}

function described({ notes: { head } }: Adapter): string {
  return `"${head!.output}" (${head!.pool})`;
}

/** Adds notes to an adapter. */
export function withNotes(adapter: Adapter, notes: AdapterNotes): Adapter {
  if (Object.keys(notes).length === 0) return adapter;
  return new Adapter(adapter.config, adapter.tensors, adapter.baseDigest, { ...adapter.notes, ...notes });
}

/** Folds `factor · y + offset` into a head trained on standardised targets, so that it returns the data's units. */
export function withTargetScaling(
  adapter: Adapter,
  units: NonNullable<NewHead['targetScaling']>,
  modules: readonly string[],
): Adapter {
  const tensors = new Map(adapter.tensors);
  for (const module of modules) {
    const [weight, bias] = ['weight', 'bias'].map((parameter) => tensorName(module, 'parameter', parameter)) as [string, string]; // prettier-ignore
    const change = (name: string, value: (old: number, output: number) => number): void => {
      const { data, dims } = tensors.get(name) as Tensor & { readonly data: Float32Array };
      const row = data.length / dims[0]!;
      tensors.set(name, float32(data.map((old, i) => value(old, Math.floor(i / row))), [...dims])); // prettier-ignore
    };
    change(weight, (old, output) => old * units.factor[output]!);
    change(bias, (old, output) => old * units.factor[output]! + units.offset[output]!);
  }
  return new Adapter(adapter.config, tensors, adapter.baseDigest, adapter.notes);
}
