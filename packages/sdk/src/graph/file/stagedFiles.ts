/** @file Stages .onnx files and their companions: written completely, then renamed together. */

import { closeSync, fsyncSync, openSync, statSync, writeSync } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';
import { writeFailed } from '../../files/atomicWriter.ts';
import { Replacement } from '../../files/replacement.ts';
import { blocksOf, byteLength, type Bytes, readBytes } from '../bytes.ts';
import type { GraphProto, ModelProto, TensorProto } from '../proto.ts';
import { rawBytes } from '../tensorData.ts';
import { tensorsOf, withTensors } from '../tensors.ts';
import { allGraphs } from '../walk.ts';
import { encodeModel } from './encode.ts';
import { isInside } from './insideFolder.ts';

/** Protobuf messages are limited to 2 GiB; leave room for the structure. */
const INLINE_TOTAL_LIMIT = 1_900_000_000;

/** An .onnx file to write. */
export interface OnnxToWrite {
  /** The target path. */
  readonly file: string;
  /** The model. */
  readonly model: ModelProto;
}

/** A further file with its contents: one piece, several, or a function that makes them. */
export type FileToWrite = readonly [file: string, bytes: Bytes | readonly Bytes[] | (() => Bytes)];

/** Written files that await their names. */
export interface StagedFiles {
  /** The temporary path and size of a staged file, by its target path; undefined for others. */
  readonly placeOf: (file: string) => { readonly path: string; readonly size: number } | undefined;
  /** Renames all files in one step, and returns them. @throws OnnxLoraError `FILE_INVALID` when the system refuses */
  readonly commit: () => string[];
  readonly abort: () => void;
}

/**
 * Stages .onnx files and companions; weights above `inlineLimit` bytes go to `<name>.data`. @throws OnnxLoraError
 * `FILE_INVALID` when the system refuses, or a weight's file has become shorter
 */
export function stageOnnxFiles(
  models: readonly OnnxToWrite[],
  beside: readonly FileToWrite[],
  inlineLimit: number = INLINE_TOTAL_LIMIT,
): StagedFiles {
  const contents = models.map(({ file, model }) => contentsOf(file, model, inlineLimit));
  const others = beside.map(
    ([file, bytes]) =>
      [
        file,
        () => (typeof bytes === 'function' ? [bytes()] : Array.isArray(bytes) ? (bytes as Bytes[]) : [bytes as Bytes]),
      ] as const,
  );
  const all = [...contents.flat().map(([file, chunks]) => [file, () => chunks] as const), ...others];
  const folder = commonFolder(all.map(([file]) => path.dirname(path.resolve(file))))!;
  const replacement = Replacement.begin(folder);
  const places = new Map<string, string>();
  try {
    for (const [file, chunks] of all) {
      const place = replacement.pathOf(path.relative(folder, path.resolve(file)));
      writeFlushed(place, chunks());
      places.set(path.resolve(file), place);
    }
  } catch (cause) {
    replacement.abort();
    throw writeFailed(all[0]![0], cause);
  }
  return {
    placeOf: (file) => {
      const place = places.get(path.resolve(file));
      return place === undefined ? undefined : { path: place, size: statSync(place).size };
    },
    commit: () => {
      replacement.commit();
      return [...contents.flatMap((files) => files.toReversed()), ...beside].map(([file]) => file);
    },
    abort: () => replacement.abort(),
  };
}

/** All graphs of a model: main graph, subgraphs and function bodies. */
export function graphsOf({ graph, functions = [] }: ModelProto): GraphProto[] {
  return [graph ?? {}, ...functions.map(({ node = [] }) => ({ node }))].flatMap((each) => [...allGraphs(each)]);
}

/** The .onnx file, preceded by its data file if the weights do not fit. */
function contentsOf(
  file: string,
  model: ModelProto,
  inlineLimit: number,
): (readonly [file: string, chunks: readonly Bytes[]])[] {
  const tensors = graphsOf(model).flatMap(tensorsOf);
  const total = tensors.reduce((sum, tensor) => sum + byteLength(rawBytes(tensor) ?? new Uint8Array()), 0);
  if (total <= inlineLimit) return [[file, encodeModel(model)]];
  const location = `${path.basename(file)}.data`;
  const data: Bytes[] = [];
  let end = 0;
  const slim = withTensors(model, (tensor) =>
    externalised(tensor, (bytes) => {
      const offset = end;
      data.push(bytes);
      end += byteLength(bytes);
      return { location, offset };
    }),
  );
  return [
    [path.join(path.dirname(file), location), data],
    [file, encodeModel(slim)],
  ];
}

/** Smaller weights stay in the graph: shape inference needs small constants there. */
const EXTERNAL_THRESHOLD = 1024;

/** The tensor as external data at `place` if large, otherwise with its bytes in memory. */
export function externalised(
  tensor: TensorProto,
  place: (bytes: Bytes) => { location: string; offset: number } | undefined,
): TensorProto {
  const raw = rawBytes(tensor);
  const placed = raw && byteLength(raw) > EXTERNAL_THRESHOLD ? place(raw) : undefined;
  if (!placed) return inline(tensor);
  const { rawData: _raw, floatData: _float, doubleData: _double, ...rest } = tensor;
  return {
    ...rest,
    dataLocation: 1,
    externalData: [
      { key: 'location', value: placed.location },
      { key: 'offset', value: String(placed.offset) },
      { key: 'length', value: String(byteLength(raw!)) },
    ],
  };
}

function inline(tensor: TensorProto): TensorProto {
  return tensor.rawData && !(tensor.rawData instanceof Uint8Array)
    ? { ...tensor, rawData: readBytes(tensor.rawData) }
    : tensor;
}

/** The deepest common folder; undefined for none, and for several drives. */
export function commonFolder(folders: readonly string[]): string | undefined {
  const [first, ...rest] = folders;
  if (first === undefined) return undefined;
  let common = first;
  for (const folder of rest) {
    while (folder !== common && !isInside(folder, common)) {
      // Another drive.
      if (path.dirname(common) === common) return undefined;
      common = path.dirname(common);
    }
  }
  return common;
}

function writeFlushed(file: string, chunks: readonly Bytes[]): void {
  const descriptor = openSync(file, 'wx');
  try {
    for (const chunk of chunks) writeChunk(descriptor, chunk);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function writeChunk(descriptor: number, chunk: Bytes): void {
  for (const block of blocksOf(chunk)) {
    for (let done = 0; done < block.length;) done += writeSync(descriptor, block, done);
  }
}
