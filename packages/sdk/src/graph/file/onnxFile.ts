/** @file Opening and writing .onnx files. Opening copies no weights: they stay references into files. */

import { existsSync, realpathSync, statSync } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';
import { OnnxLoraError } from '../../errors.ts';
import { byteLength, type ByteSource, type FileSlice, FileSource, isInFile } from '../bytes.ts';
import { decodeModel } from './decode.ts';
import type { GraphProto, ModelProto, NodeProto, TensorProto } from '../proto.ts';
import { expectedBytes, rawBytes } from '../tensorData.ts';
import { tensorsOf } from '../tensors.ts';
import { isInside, resolvesInside } from './insideFolder.ts';
import { type FileToWrite, graphsOf, type OnnxToWrite, type StagedFiles, stageOnnxFiles } from './stagedFiles.ts'; // prettier-ignore
import { fileIdentity } from '../../files/fileIdentity.ts';
import { notFound } from '../../files/notFound.ts';

/** An opened model: structure in memory, weights as file ranges. */
export interface OnnxFile {
  /** The path as the user gave it. */
  readonly path: string;
  /** The model, with its graph. */
  readonly model: ModelProto & { graph: GraphProto };
}

/**
 * Opens an .onnx file of any size in a few megabytes of memory. External data becomes file ranges; a location outside
 * the model's folder is refused.
 * @throws OnnxLoraError `FILE_NOT_FOUND`, `MODEL_INVALID` (corrupt or truncated), `FILE_INVALID` (external data)
 */
export function openOnnx(file: string): OnnxFile {
  if (!existsSync(file)) throw notFound('file', file);
  if (statSync(file).isDirectory()) {
    throw new OnnxLoraError('FILE_NOT_FOUND', `"${file}" is a folder. Name the .onnx file inside it.`);
  }
  // Opening a named pipe would block forever.
  if (!statSync(file).isFile()) throw new OnnxLoraError('FILE_INVALID', `"${file}" is not a regular file.`);
  const real = realpathSync(file);
  const source = new FileSource(real);
  try {
    return { path: file, model: parseOnnx(source, file) };
  } finally {
    source.close();
  }
}

/** Opens a staged .onnx file before its commit. @throws OnnxLoraError as {@link openOnnx} */
export function openStaged(staged: StagedFiles, file: string): OnnxFile {
  const source = new FileSource(staged.placeOf(file)!.path);
  const locate: Locate = (location, refuse) =>
    staged.placeOf(path.join(path.dirname(file), location)) ?? refuse('but that file is missing.');
  try {
    return { path: file, model: parseOnnx(source, file, locate) };
  } finally {
    source.close();
  }
}

/** Finds a file of external data; calls `refuse` with the reason otherwise. */
export type Locate = (
  location: string,
  refuse: (reason: string) => never,
) => { readonly path: string; readonly size: number; readonly identity?: string };

/**
 * Decodes and checks a model.
 * @param file its name, for errors and external data
 * @param locate finds files of external data; next to the model by default
 * @throws OnnxLoraError as {@link openOnnx}
 */
export function parseOnnx(source: ByteSource, file: string, locate: Locate = dataBeside(file)): OnnxFile['model'] {
  const model = decodeModel(source, file);
  const { graph } = model;
  if (!graph || !graph.node || graph.node.length === 0 || !model.opsetImport) {
    throw new OnnxLoraError(
      'MODEL_INVALID',
      `"${file}" holds no ONNX graph. Check that the download is complete and that it is an .onnx file, not a Git LFS pointer.`,
    );
  }
  for (const each of graphsOf(model)) {
    for (const node of each.node ?? []) checkNode(node, file);
    for (const tensor of tensorsOf(each)) resolveData(tensor, file, locate);
  }
  return { ...model, graph };
}

/** Ensures what graph code relies on: a node has an operator, outputs, and a list of inputs. */
function checkNode(node: NodeProto, file: string): void {
  node.input ??= [];
  if (node.opType && node.output?.length) return;
  const lacks = node.opType ? 'output' : 'operator';
  throw new OnnxLoraError(
    'MODEL_INVALID',
    `"${file}": node "${node.name}" has no ${lacks}. The file is damaged: download it again.`,
  );
}

function resolveData(tensor: TensorProto, file: string, locate: Locate): void {
  if (!(tensor.dims ?? []).every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    throw new OnnxLoraError(
      'MODEL_INVALID',
      `"${file}": tensor "${tensor.name}" has the impossible shape [${tensor.dims!.join(', ')}]. The file is damaged: download it again.`,
    );
  }
  if (tensor.dataLocation === 1) {
    tensor.rawData = externalSlice(tensor, file, locate);
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

function externalSlice(tensor: TensorProto, file: string, locate: Locate): FileSlice {
  const entries = new Map((tensor.externalData ?? []).map(({ key, value }) => [key, value ?? '']));
  const location = entries.get('location') ?? '';
  const refuse = (reason: string): never => {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `"${file}": the data of tensor "${tensor.name}" should lie in "${location}", ${reason}`,
    );
  };
  const { path: real, size, identity } = locate(location, refuse);
  const offset = Number(entries.get('offset') ?? 0);
  const length = entries.has('length') ? Number(entries.get('length')) : (expectedBytes(tensor) ?? size - offset);
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
    return refuse('but its offset and length are not whole numbers.');
  }
  if (offset + length > size) {
    return refuse(`up to byte ${offset + length}, but the file has ${size}. It is truncated: download it again.`);
  }
  return { path: real, offset, length, ...(identity !== undefined && { identity }) };
}

/** Locates external data inside the model's folder, with a cache. */
function dataBeside(file: string): Locate {
  const folder = path.dirname(path.resolve(file));
  const found = new Map<string, ReturnType<Locate>>();
  return (location, refuse) => {
    const known = found.get(location) ?? lookUp(folder, location, refuse);
    found.set(location, known);
    return known;
  };
}

function lookUp(folder: string, location: string, refuse: Parameters<Locate>[1]): ReturnType<Locate> {
  const target = path.resolve(folder, location);
  if (location === '' || path.isAbsolute(location) || !isInside(target, folder)) {
    return refuse("which is outside the model's folder. Such a path is refused: it could read any file.");
  }
  if (!existsSync(target)) return refuse('but that file is missing. Download it too and put it beside the .onnx file.');
  if (!resolvesInside(target, folder)) {
    return refuse("a link that leads outside the model's folder. Such a link is refused: it could read any file.");
  }
  const real = realpathSync(target);
  const stat = statSync(real, { bigint: true });
  if (!stat.isFile()) return refuse('but that is not a file.');
  return { path: real, size: Number(stat.size), identity: fileIdentity(stat) };
}

/**
 * Writes a self-contained .onnx file, streaming its weights. Above 1.9 GB they go to `<name>.data` next to it. Both
 * appear atomically when complete; creates missing folders.
 * @param inlineLimit maximum bytes of weights inside the .onnx file
 * @returns the files written
 * @throws OnnxLoraError `FILE_INVALID` when the system refuses, or a weight's file has become shorter
 */
export function writeOnnx(file: string, model: ModelProto, inlineLimit?: number): string[] {
  return writeOnnxFiles([{ file, model }], [], inlineLimit);
}

/** Writes several .onnx files like {@link writeOnnx}, all or none. @param beside further files and their contents */
export function writeOnnxFiles(
  models: readonly OnnxToWrite[],
  beside: readonly FileToWrite[],
  inlineLimit?: number,
): string[] {
  return stageOnnxFiles(models, beside, inlineLimit).commit();
}

/** The file ranges of a model's weights. */
export function slicesOf(model: ModelProto): FileSlice[] {
  return graphsOf(model)
    .flatMap(tensorsOf)
    .map(rawBytes)
    .filter((raw) => raw !== undefined && isInFile(raw));
}
