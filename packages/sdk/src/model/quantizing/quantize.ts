/** @file `quantize`: a file of fewer bits for plain ONNX Runtime, from a model in float32. */

import { existsSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { requireUnused } from '../../files/atomicWriter.ts';
import { isInFile } from '../../graph/bytes.ts';
import { writeOnnxFiles } from '../../graph/file/onnxFile.ts';
import { ScratchBytes } from '../../graph/file/scratchWeights.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { rawBytes } from '../../graph/tensorData.ts';
import { tensorsOf } from '../../graph/tensors.ts';
import { allGraphs } from '../../graph/walk.ts';
import { Random } from '../../runtime/random.ts';
import { requireWritable } from '../merging/merge.ts';
import { companionsOf, placeOf, requireOtherFolder } from '../merging/mergeParts.ts';
import type { Model } from '../loaded/model.ts';
import { withOwnConfig } from '../opening/readModelConfig.ts';
import { loftqAdapter } from './loftq.ts';
import { checkedOptions, type QuantizeOptions, type QuantizeResult } from './quantizeOptions.ts';
import { type ModelPart, partsOf, quantizeParts } from './quantizedParts.ts';
import { requireModel, requirePath } from '../loaded/givenArguments.ts';

/**
 * Writes a model with its linear layers in fewer bits. Modules keep their paths, so that the same targets match, and adapters are
 * trained on the file as on any other. Weights are read, rounded and set aside one at a time. Complete or not at all.
 *
 * A `place` that does not end in `.onnx` is a folder, as `merge` has it.
 *
 * @example
 * const { layers, bytesBefore, bytesAfter } = await quantize(model, 'models/vit-4bit', { bits: 4 });
 *
 * @throws OnnxLoraError `CONFIG_INVALID`; `TARGET_NOT_FOUND`; `MODEL_UNSUPPORTED` where no layer can be quantised; `DATA_INVALID`;
 *   `FILE_INVALID` when the file cannot be written, or is there and `overwrite` is not true
 */
export async function quantize(model: Model, place: string, options: QuantizeOptions): Promise<QuantizeResult> {
  requireModel('quantize', model);
  requirePath('quantize', place);
  const checked = checkedOptions(options);
  const { loftq, seed = 0 } = options;
  const parts = partsFor(model, place);
  const beside = place.endsWith('.onnx') ? [] : companionsOf(model, place);
  requireUnused([...parts.map(({ file }) => file), ...beside.map(([file]) => file)], options);
  const random = new Random(seed);
  const scratch = new ScratchBytes();
  try {
    const found = await quantizeParts(model, parts, { ...options, ...checked, random, scratch });
    const { layers, kept, made, components } = found;
    const graphs = found.graphs.flatMap(({ graph }, i) => (parts[i]!.onlyServes ? [] : [graph]));
    const adapter = loftq && (await loftqAdapter(model, components, { ...loftq, made, graphs, random }));
    const files = writeOnnxFiles(
      parts.map(({ file }, i) => ({ file, model: withConfig(found.graphs[i]!, model, place) })),
      beside,
    );
    return {
      files,
      bytesBefore: bytesOf(sourceFiles(parts)),
      bytesAfter: bytesOf(files.slice(0, files.length - beside.length)),
      layers,
      kept,
      ...(adapter && { adapter }),
    };
  } finally {
    scratch.drop();
  }
}

/** A file to write. */
interface PartFile extends ModelPart {
  readonly file: string;
  /** Whether it is no part of the joined graph. */
  readonly onlyServes: boolean;
}

/** @throws OnnxLoraError `FILE_INVALID` for a place that is the model's own */
function partsFor(model: Model, place: string): readonly PartFile[] {
  const isFolder = !place.endsWith('.onnx');
  if (isFolder && model.parts.length > 0) {
    requireOtherFolder(model, place);
    return partsOf(model).map((part) => ({ ...part, file: path.join(place, placeOf(part.model, model)) }));
  }
  const file = isFolder ? path.join(place, path.dirname(placeOf(model, model)), 'model.onnx') : place;
  requireWritable(model, file);
  return [{ file, model, prefix: '', onlyServes: false }];
}

/** A lone file has no config.json beside it. */
function withConfig(graph: ModelProto, { config }: Model, place: string): ModelProto {
  return place.endsWith('.onnx') && config ? withOwnConfig(graph, config) : graph;
}

/** The files that hold the models, those of weights included. */
function sourceFiles(parts: readonly PartFile[]): string[] {
  const files = new Set<string>();
  for (const { model } of parts) {
    for (const file of model.files) if (existsSync(file)) files.add(realpathSync(file));
    for (const raw of [...allGraphs(model.onnx.model.graph)].flatMap(tensorsOf).map(rawBytes))
      if (raw && isInFile(raw)) files.add(realpathSync(raw.path));
  }
  return [...files];
}

function bytesOf(files: readonly string[]): number {
  return files.reduce((sum, file) => sum + statSync(file).size, 0);
}
