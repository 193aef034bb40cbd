/** @file Opening and writing .onnx files. Weights are never copied on opening: they stay references into files. */

import { closeSync, existsSync, fsyncSync, openSync, realpathSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { OnnxLoraError } from '../../errors.ts';
import {
  blocksOf,
  byteLength,
  type Bytes,
  type ByteSource,
  type FileSlice,
  FileSource,
  isInFile,
  readBytes,
} from '../bytes.ts';
import { decodeModel } from './decode.ts';
import { encodeModel } from './encode.ts';
import type { GraphProto, ModelProto, NodeProto, TensorProto } from '../proto.ts';
import { expectedBytes, rawBytes } from '../tensorData.ts';
import { tensorsOf, withTensors } from '../tensors.ts';
import { Replacement } from '../../files/replacement.ts';
import { writeFailed } from '../../files/atomicWriter.ts';
import { isInside, leadsInside } from './insideFolder.ts';
import { scratchWeights } from './scratchWeights.ts';
import { allGraphs } from '../walk.ts';
import { notFound } from '../../files/notFound.ts';

/** An opened model: structure in memory, weights as ranges of the files on disk. */
export interface OnnxFile {
  /** The file, as the user named it. */
  readonly path: string;
  /** The file's structure; its graph is there. */
  readonly model: ModelProto & { graph: GraphProto };
}

/**
 * Opens an .onnx file of any size in a few megabytes of memory.
 *
 * External data is resolved to ranges of the files that lie beside the model; a location outside the model's folder is
 * refused.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`, `MODEL_INVALID` (corrupt or truncated), `FILE_INVALID` (external data)
 */
export function openOnnx(file: string): OnnxFile {
  if (!existsSync(file)) throw notFound('file', file);
  if (statSync(file).isDirectory()) {
    throw new OnnxLoraError('FILE_NOT_FOUND', `"${file}" is a folder. Name the .onnx file inside it.`);
  }
  // Opening a named pipe would wait forever.
  if (!statSync(file).isFile()) throw new OnnxLoraError('FILE_INVALID', `"${file}" is not a regular file.`);
  const real = realpathSync(file);
  const source = new FileSource(real);
  try {
    return { path: file, model: parseOnnx(source, file) };
  } finally {
    source.close();
  }
}

/**
 * Decodes and checks a model.
 *
 * @param file its name, for errors and for finding external data
 * @throws OnnxLoraError as {@link openOnnx}
 */
export function parseOnnx(source: ByteSource, file: string): OnnxFile['model'] {
  const model = decodeModel(source, file);
  const { graph } = model;
  if (!graph || !graph.node || graph.node.length === 0 || !model.opsetImport) {
    throw new OnnxLoraError(
      'MODEL_INVALID',
      `"${file}" holds no ONNX graph. Check that the download is complete and that it is an .onnx file, not a Git LFS pointer.`,
    );
  }
  const locate = new DataLocator(file);
  for (const each of graphsOf(model)) {
    for (const node of each.node ?? []) checkNode(node, file);
    for (const tensor of tensorsOf(each)) resolveData(tensor, file, locate);
  }
  return { ...model, graph };
}

/** Every graph of a model: the main one, those inside nodes, and the bodies of functions. */
function graphsOf({ graph, functions = [] }: ModelProto): GraphProto[] {
  return [graph ?? {}, ...functions.map(({ node = [] }) => ({ node }))].flatMap((each) => [...allGraphs(each)]);
}

/** Everything that reads graphs may rely on it: a node has an operator, outputs, and a list of inputs. */
function checkNode(node: NodeProto, file: string): void {
  node.input ??= [];
  if (node.opType && node.output?.length) return;
  const lacks = node.opType ? 'output' : 'operator';
  throw new OnnxLoraError(
    'MODEL_INVALID',
    `"${file}": node "${node.name}" has no ${lacks}. The file is damaged: download it again.`,
  );
}

function resolveData(tensor: TensorProto, file: string, locator: DataLocator): void {
  if (!(tensor.dims ?? []).every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    throw new OnnxLoraError(
      'MODEL_INVALID',
      `"${file}": tensor "${tensor.name}" has the impossible shape [${tensor.dims!.join(', ')}]. The file is damaged: download it again.`,
    );
  }
  if (tensor.dataLocation === 1) {
    tensor.rawData = externalSlice(tensor, file, locator);
    delete tensor.dataLocation;
    delete tensor.externalData;
  }
  const raw = rawBytes(tensor);
  const expected = expectedBytes(tensor);
  if (raw && expected !== undefined && byteLength(raw) !== expected) {
    throw new OnnxLoraError(
      'MODEL_INVALID',
      `"${file}": tensor "${tensor.name}" of shape [${(tensor.dims ?? []).join(', ')}] needs ${expected} bytes, but ${byteLength(raw)} are stored. The file is damaged: download it again.`,
    );
  }
}

function externalSlice(tensor: TensorProto, file: string, locator: DataLocator): FileSlice {
  const entries = new Map((tensor.externalData ?? []).map(({ key, value }) => [key, value ?? '']));
  const location = entries.get('location') ?? '';
  const refuse = (reason: string): never => {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `"${file}": the data of tensor "${tensor.name}" should lie in "${location}", ${reason}`,
    );
  };
  const { path: real, size } = locator.locate(location, refuse);
  const offset = Number(entries.get('offset') ?? 0);
  const length = entries.has('length') ? Number(entries.get('length')) : (expectedBytes(tensor) ?? size - offset);
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
    return refuse('but its offset and length are not whole numbers.');
  }
  if (offset + length > size) {
    return refuse(`up to byte ${offset + length}, but the file has ${size}. It is truncated: download it again.`);
  }
  return { path: real, offset, length };
}

/** Finds the files of external data and checks that they lie where they may; each is looked up once. */
class DataLocator {
  readonly #folder: string;
  readonly #found = new Map<string, { readonly path: string; readonly size: number }>();

  /** @param file the model */
  constructor(file: string) {
    this.#folder = path.dirname(path.resolve(file));
  }

  /** The file itself, links followed. Calls `refuse` with what is wrong. */
  locate(location: string, refuse: (reason: string) => never): { readonly path: string; readonly size: number } {
    let found = this.#found.get(location);
    if (!found) this.#found.set(location, (found = this.#lookUp(location, refuse)));
    return found;
  }

  #lookUp(location: string, refuse: (reason: string) => never): { path: string; size: number } {
    const target = path.resolve(this.#folder, location);
    if (location === '' || path.isAbsolute(location) || !isInside(target, this.#folder)) {
      return refuse("which is outside the model's folder. Such a path is refused: it could read any file.");
    }
    if (!existsSync(target)) return refuse('which does not exist. Download it too and put it beside the .onnx file.');
    if (!leadsInside(target, this.#folder)) {
      return refuse("a link that leads outside the model's folder. Such a link is refused: it could read any file.");
    }
    const real = realpathSync(target);
    const stat = statSync(real);
    return stat.isFile() ? { path: real, size: stat.size } : refuse('which is not a file.');
  }
}

/** A protobuf message cannot hold more than 2 GiB; leave room for the structure. */
const INLINE_TOTAL_LIMIT = 1_900_000_000;

/**
 * Writes a self-contained .onnx file, streaming every weight from where it lies. Above 1.9 GB the weights go to
 * `<name>.data` beside it. Both appear under their names when they are complete, in one step; missing folders are made.
 *
 * @param inlineLimit bytes of weights up to which they stay in the .onnx file
 * @returns the files written
 * @throws OnnxLoraError `FILE_INVALID` when the system refuses, or a weight's file is shorter than it was
 */
export function writeOnnx(file: string, model: ModelProto, inlineLimit: number = INLINE_TOTAL_LIMIT): string[] {
  return writeOnnxFiles([{ file, model }], [], inlineLimit);
}

/**
 * Writes several .onnx files that belong together, as {@link writeOnnx} writes one: all of them or none.
 *
 * @param beside further files and what they hold, one piece or several, or what makes that
 */
export function writeOnnxFiles(
  models: readonly { readonly file: string; readonly model: ModelProto }[],
  beside: readonly (readonly [file: string, bytes: Bytes | readonly Bytes[] | (() => Bytes)])[],
  inlineLimit: number = INLINE_TOTAL_LIMIT,
): string[] {
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
  try {
    for (const [file, chunks] of all) writeFlushed(replacement.pathOf(path.relative(folder, path.resolve(file))), chunks()); // prettier-ignore
  } catch (cause) {
    replacement.abort();
    throw writeFailed(all[0]![0], cause);
  }
  replacement.commit();
  return [...contents.flatMap((files) => files.toReversed()), ...beside].map(([file]) => file);
}

/** The .onnx file, and before it that of its weights where it cannot hold them. */
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

/** Weights up to this size are kept inside the graph: shape inference needs small constants there. */
const EXTERNAL_THRESHOLD = 1024;

/** The tensor with its bytes where `place` says, when they are many and it says so; otherwise with its bytes in memory. */
function externalised(
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

/**
 * The model as a runtime takes it: a few kilobytes of graph whose weights are ranges of the user's own files.
 * ONNX Runtime maps them into memory, so nothing is copied. Large weights that are computed are in a scratch file.
 */
export function sessionModel(given: ModelProto): { bytes: Uint8Array; folder?: string } {
  const model = scratchWeights(given);
  const files = new Set<string>();
  for (const tensor of graphsOf(model).flatMap(tensorsOf)) {
    const raw = rawBytes(tensor);
    if (raw && isInFile(raw)) files.add(path.dirname(raw.path));
  }
  const folder = commonFolder([...files]);
  const slim = withTensors(model, (tensor) =>
    externalised(tensor, (bytes) =>
      isInFile(bytes) && folder !== undefined
        ? { location: path.relative(folder, bytes.path), offset: bytes.offset }
        : undefined,
    ),
  );
  const chunks = encodeModel(slim).map(readBytes);
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return { bytes, ...(folder !== undefined && { folder }) };
}

function commonFolder(folders: readonly string[]): string | undefined {
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
