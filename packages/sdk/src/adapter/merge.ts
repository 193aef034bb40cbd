/** @file Folds an adapter into the base's weights: a plain .onnx with the same outputs and no trace of LoRA. */

import { OnnxLoraError } from '../errors.ts';
import type { ModelProto, NodeProto, TensorProto } from '../graph/proto.ts';
import { dataTypeName } from '../graph/dataType.ts';
import { readFloats, tensorProto } from '../graph/tensorData.ts';
import { indexGraph } from '../graph/walk.ts';
import { kindOf } from '../lora/kinds/table.ts';
import type { Site } from '../match/sites.ts';
import { transposed } from '../runtime/layout.ts';
import { float32, type Tensor } from '../runtime/tensor.ts';
import { eachDeltaRow, weightSteps } from './delta.ts';
import { doraGain } from './dora.ts';
import { floats } from './feeds.ts';
import { scalingOf } from './peftConfig.ts';
import type { LowRankTensors, PlacedAdapter } from './place.ts';

/**
 * The model with the adapter merged. Weights that the adapter leaves alone stay where they are on disk. A weight that
 * other layers share is copied for the adapted one, so that the others keep theirs.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for weights that are not float32, and for a delta that a grouped convolution's
 *   weight cannot hold
 */
export function mergeAdapter(model: ModelProto, placed: PlacedAdapter): ModelProto {
  const edits: Edit[] = [
    ...placed.lowRank.map((tensors) => ({
      initializer: tensors.lowRank.site.weight.name,
      readers: [tensors.lowRank.site.node],
      tensor: mergedWeight(tensors, placed),
    })),
    ...placed.trained.map(({ parameter, tensor }) => {
      const data = floats(tensor);
      const [rows, columns] = tensor.dims as [number, number];
      const own = parameter.layout === 'in-out' ? transposed(data, rows, columns) : data;
      return {
        initializer: parameter.initializer,
        readers: parameter.readers,
        tensor: tensorProto(parameter.initializer, float32(own, parameter.tensor.dims ?? [])),
      };
    }),
    // Last, for a bias that is trained in full as well already counts with its new values.
    ...placed.lowRank.flatMap(({ lowRank, bias }) => (bias ? [mergedBias(lowRank.site, bias, placed)] : [])),
  ];
  return applyEdits(model, edits);
}

interface Edit {
  readonly initializer: string;
  readonly readers: readonly NodeProto[];
  readonly tensor: TensorProto;
}

/** W + s·B·A, with DoRA times the gain of each output, in the graph's own layout. */
function mergedWeight({ lowRank, A, B, magnitude }: LowRankTensors, { adapter }: PlacedAdapter): TensorProto {
  const { site } = lowRank;
  const type = dataTypeName(site.weight.tensor.dataType);
  if (type !== 'float32') {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The weight of "${site.path}" is ${type}; only float32 weights can be merged into yet. Serve the adapter unmerged.`,
    );
  }
  const { scaling } = scalingOf(adapter.config, site.path);
  const factors = { A: floats(A), B: floats(B), r: A.dims[0]!, scaling };
  const merged = readFloats(site.weight.tensor).slice();
  const gain = magnitude && doraGain(site, factors, floats(magnitude));
  const { out, groups } = kindOf(site).matrix(site);
  const steps = weightSteps(site);
  eachDeltaRow(site, factors, (o, row) => {
    const own = row.length / groups;
    const first = Math.floor((o * groups) / out) * own;
    if (groups > 1 && row.some((value, i) => value !== 0 && (i < first || i >= first + own))) throw cannotHold(site);
    const scale = gain?.[o] ?? 1;
    for (let i = 0; i < own; i++) {
      const at = o * steps.row + i * steps.column;
      merged[at] = scale * (merged[at]! + row[first + i]!);
    }
  });
  return tensorProto(site.weight.name, float32(merged, site.weight.tensor.dims ?? []));
}

/** The layer's bias + s·b, where b is the bias of B. */
function mergedBias(site: Site, bias: Tensor, { adapter, trained }: PlacedAdapter): Edit {
  const own = site.bias;
  if (!own || dataTypeName(own.tensor.dataType) !== 'float32') {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The lora_B.bias of "${site.path}" cannot be merged: the layer has no float32 bias to add it to. Serve the adapter unmerged.`,
    );
  }
  const { scaling } = scalingOf(adapter.config, site.path);
  const inFull = trained.find(({ parameter }) => parameter.site === site && parameter.initializer === own.name);
  const before = inFull ? floats(inFull.tensor) : readFloats(own.tensor);
  const added = floats(bias);
  const merged = before.map((value, i) => value + scaling * added[i]!);
  return {
    initializer: own.name,
    readers: [own.node],
    tensor: tensorProto(own.name, float32(merged, own.tensor.dims ?? [])),
  };
}

function cannotHold({ path, weightShape }: Site): OnnxLoraError {
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The adapter of "${path}" cannot be merged: the layer is a grouped convolution, whose weight [${weightShape.join(', ')}] connects outputs only with the inputs of their own group, while the adapter connects all. Serve the adapter unmerged.`,
  );
}

function applyEdits(model: ModelProto, edits: readonly Edit[]): ModelProto {
  const graph = model.graph ?? {};
  const index = indexGraph(graph);
  const replaced = new Map<string, TensorProto>();
  const added: TensorProto[] = [];
  const renames = new Map<NodeProto, Map<string, string>>();
  for (const { initializer, readers, tensor } of edits) {
    const others = (index.uses.get(initializer) ?? []).some(({ node }) => !readers.includes(node));
    const isInitializer = (graph.initializer ?? []).some(({ name }) => name === initializer);
    if (!others && isInitializer && !replaced.has(initializer)) {
      replaced.set(initializer, tensor);
      continue;
    }
    // Shared, or the value of a Constant node: the adapted layer reads a copy of its own.
    const name = `${initializer}/merged_${added.length}`;
    added.push({ ...tensor, name });
    for (const node of readers)
      renames.set(node, (renames.get(node) ?? new Map<string, string>()).set(initializer, name));
  }
  return {
    ...model,
    graph: {
      ...graph,
      initializer: [...(graph.initializer ?? []).map((tensor) => replaced.get(tensor.name ?? '') ?? tensor), ...added],
      node: (graph.node ?? []).map((node) => {
        const names = renames.get(node);
        return names ? { ...node, input: (node.input ?? []).map((name) => names.get(name) ?? name) } : node;
      }),
    },
  };
}
