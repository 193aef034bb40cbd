/** @file Opening and writing .onnx files. Weights are never copied on opening: they stay references into files. */

import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { OnnxLoraError } from '../errors.ts';
import { type Bytes, type ByteSource, type FileSlice, FileSource, byteLength, readBytes } from './bytes.ts';
import { decodeModel } from './decode.ts';
import { encodeModel } from './encode.ts';
import type { GraphProto, ModelProto, NodeProto, TensorProto } from './proto.ts';
import { expectedBytes, rawBytes } from './tensorData.ts';
import { allGraphs } from './walk.ts';

/** An opened model: structure in memory, weights as ranges of the files on disk. */
export interface OnnxFile {
  /** The file, as the user named it. */
  readonly path: string;
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
  if (!existsSync(file)) throw new OnnxLoraError('FILE_NOT_FOUND', `There is no file "${file}". Check the path.`);
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
  for (const each of allGraphs(graph)) {
    for (const node of each.node ?? []) checkNode(node, file);
    for (const tensor of tensorsOf(each)) resolveData(tensor, file);
  }
  return { ...model, graph };
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

/** Initializers, and the tensors that nodes hold, such as those of Constant. */
function tensorsOf(graph: GraphProto): TensorProto[] {
  const held = (graph.node ?? []).flatMap(({ attribute = [] }) => attribute.flatMap(({ t }) => t ?? []));
  return [...(graph.initializer ?? []), ...held];
}

function resolveData(tensor: TensorProto, file: string): void {
  if (!(tensor.dims ?? []).every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    throw new OnnxLoraError(
      'MODEL_INVALID',
      `"${file}": tensor "${tensor.name}" has the impossible shape [${tensor.dims!.join(', ')}]. The file is damaged: download it again.`,
    );
  }
  if (tensor.dataLocation === 1) {
    tensor.rawData = externalSlice(tensor, file);
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

function externalSlice(tensor: TensorProto, file: string): FileSlice {
  const entries = new Map((tensor.externalData ?? []).map(({ key, value }) => [key, value ?? '']));
  const location = entries.get('location') ?? '';
  const folder = path.dirname(path.resolve(file));
  const target = path.resolve(folder, location);
  const refuse = (reason: string): never => {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `"${file}": the data of tensor "${tensor.name}" should lie in "${location}", ${reason}`,
    );
  };
  if (location === '' || path.isAbsolute(location) || !isInside(target, folder)) {
    return refuse("which is outside the model's folder. Such a path is refused: it could read any file.");
  }
  if (!existsSync(target)) return refuse('which does not exist. Download it too and put it beside the .onnx file.');
  const real = realpathSync(target);
  if (!allowedRoots(folder).some((root) => isInside(real, root))) {
    return refuse("a link that leads outside the model's folder. Such a link is refused: it could read any file.");
  }
  const offset = Number(entries.get('offset') ?? 0);
  const stat = statSync(real);
  if (!stat.isFile()) return refuse('which is not a file.');
  const { size } = stat;
  const length = entries.has('length') ? Number(entries.get('length')) : (expectedBytes(tensor) ?? size - offset);
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
    return refuse('but its offset and length are not whole numbers.');
  }
  if (offset + length > size) {
    return refuse(`up to byte ${offset + length}, but the file has ${size}. It is truncated: download it again.`);
  }
  return { path: real, offset, length };
}

/** The model's folder, and the blob folder of the Hugging Face cache, whose snapshots are links into it. */
function allowedRoots(folder: string): string[] {
  const snapshot = /^(.*)[/\\]snapshots[/\\][^/\\]+(?:[/\\].*)?$/.exec(folder);
  return [realpathSync(folder), ...(snapshot ? [path.join(realpathSync(snapshot[1]!), 'blobs')] : [])];
}

function isInside(file: string, folder: string): boolean {
  const relative = path.relative(folder, file);
  return relative !== '' && relative.split(path.sep)[0] !== '..' && !path.isAbsolute(relative);
}

/** A protobuf message cannot hold more than 2 GiB; leave room for the structure. */
const INLINE_TOTAL_LIMIT = 1_900_000_000;

/**
 * Writes a self-contained .onnx file, streaming every weight from where it lies. Above 1.9 GB the weights go to
 * `<name>.data` beside it. The file appears under its name only when it is complete.
 *
 * @returns the files written
 */
export function writeOnnx(file: string, model: ModelProto): string[] {
  const tensors = [...allGraphs(model.graph ?? {})].flatMap((graph) => graph.initializer ?? []);
  const total = tensors.reduce((sum, tensor) => sum + byteLength(rawBytes(tensor) ?? new Uint8Array()), 0);
  if (total <= INLINE_TOTAL_LIMIT) {
    writeAtomically([[file, encodeModel(model)]]);
    return [file];
  }
  const dataName = `${path.basename(file)}.data`;
  const data: Bytes[] = [];
  const { model: slim } = externalise(model, (bytes) => {
    const offset = data.reduce((sum, each) => sum + byteLength(each), 0);
    data.push(bytes);
    return { location: dataName, offset };
  });
  const dataFile = path.join(path.dirname(file), dataName);
  writeAtomically([
    [dataFile, data],
    [file, encodeModel(slim)],
  ]);
  return [file, dataFile];
}

/** Weights up to this size are kept inside the graph: shape inference needs small constants there. */
const EXTERNAL_THRESHOLD = 1024;

/** A copy of `model` whose large initializers of the main graph are external-data entries that `place` decides on. */
function externalise(
  model: ModelProto,
  place: (bytes: Bytes) => { location: string; offset: number } | undefined,
): { model: ModelProto } {
  const initializer = (model.graph?.initializer ?? []).map((tensor): TensorProto => {
    const raw = rawBytes(tensor);
    if (!raw || byteLength(raw) <= EXTERNAL_THRESHOLD) return inline(tensor);
    const placed = place(raw);
    if (!placed) return inline(tensor);
    const { rawData: _raw, floatData: _float, doubleData: _double, ...rest } = tensor;
    return {
      ...rest,
      dataLocation: 1,
      externalData: [
        { key: 'location', value: placed.location },
        { key: 'offset', value: String(placed.offset) },
        { key: 'length', value: String(byteLength(raw)) },
      ],
    };
  });
  return { model: { ...model, graph: { ...model.graph, initializer } } };
}

function inline(tensor: TensorProto): TensorProto {
  return tensor.rawData && !(tensor.rawData instanceof Uint8Array)
    ? { ...tensor, rawData: readBytes(tensor.rawData) }
    : tensor;
}

/**
 * The model as a runtime takes it: a few kilobytes of graph whose weights are ranges of the user's own files.
 * ONNX Runtime maps them into memory, so nothing is copied.
 */
export function sessionModel(model: ModelProto): { bytes: Uint8Array; folder?: string } {
  const files = new Set<string>();
  for (const tensor of model.graph?.initializer ?? []) {
    const raw = rawBytes(tensor);
    if (raw && !(raw instanceof Uint8Array)) files.add(path.dirname(raw.path));
  }
  const folder = commonFolder([...files]);
  const { model: slim } = externalise(model, (bytes) =>
    bytes instanceof Uint8Array || folder === undefined
      ? undefined
      : { location: path.relative(folder, bytes.path), offset: bytes.offset },
  );
  const chunks = encodeModel(slim).map(readBytes);
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return folder === undefined ? { bytes } : { bytes, folder };
}

function commonFolder(folders: readonly string[]): string | undefined {
  const [first, ...rest] = folders;
  if (first === undefined) return undefined;
  let common = first;
  for (const folder of rest) {
    while (folder !== common && !isInside(folder, common)) common = path.dirname(common);
  }
  return common;
}

function writeAtomically(files: readonly (readonly [string, readonly Bytes[]])[]): void {
  const written: [temporary: string, final: string][] = [];
  try {
    for (const [final, chunks] of files) {
      const temporary = `${final}.${process.pid}.tmp`;
      written.push([temporary, final]);
      const descriptor = openSync(temporary, 'w');
      try {
        for (const chunk of chunks) writeChunk(descriptor, chunk);
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
    }
    for (const [temporary, final] of written) renameSync(temporary, final);
  } catch (cause) {
    for (const [temporary] of written) rmSync(temporary, { force: true });
    if (cause instanceof OnnxLoraError) throw cause;
    throw new OnnxLoraError('FILE_INVALID', `Cannot write "${files[0]![0]}": ${(cause as Error).message}.`, { cause });
  }
}

const COPY_BLOCK = 1 << 24;

function writeChunk(descriptor: number, chunk: Bytes): void {
  if (chunk instanceof Uint8Array) {
    for (let done = 0; done < chunk.length;) done += writeSync(descriptor, chunk, done);
    return;
  }
  for (let done = 0; done < chunk.length; done += COPY_BLOCK) {
    const length = Math.min(COPY_BLOCK, chunk.length - done);
    writeChunk(descriptor, readBytes({ path: chunk.path, offset: chunk.offset + done, length }));
  }
}
