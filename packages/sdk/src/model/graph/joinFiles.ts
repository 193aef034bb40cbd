/** @file One model from several files: their graphs joined, modules under the paths that they have in the whole. */

import path from 'node:path';
import { OnnxLoraError } from '../../errors.ts';
import { type OnnxFile, openOnnx } from '../../graph/file/onnxFile.ts';
import { missingPath, underPath } from '../../match/underPath.ts';
import { findSites, type Site } from '../../match/sites.ts';
import { viewOf } from '../../match/view.ts';
import { compose } from '../../ops/compose/compose.ts';
import { idleInputsOf, withIdleInputs } from '../../ops/compose/idleInputs.ts';
import { isSameTensor } from '../../ops/compose/sameTensor.ts';
import type { FamilyPart } from '../../plugin/families/family.ts';

/** One of the files of a model. */
export interface ModelFile {
  /** What the part is called. */
  readonly name: string;
  /** The file's graph. */
  readonly onnx: OnnxFile;
  /** What module paths of the whole have before those of the file; empty where they are the same. */
  readonly path: string;
  /** Whether it is no part of the joined graph. */
  readonly onlyServes: boolean;
}

/** A file to open, and what is known of it. */
export interface FileToJoin extends FamilyPart {
  readonly file: string;
}

/** Files that belong together. */
export interface FilesToJoin {
  readonly parts: readonly FileToJoin[];
  /** Names of the outputs to keep; without, those that no part reads. */
  readonly outputs?: readonly string[];
}

/** Several files as one. */
export interface JoinedFiles {
  /** The joined graph, under the folder of the files. */
  readonly onnx: OnnxFile;
  readonly files: readonly ModelFile[];
}

/**
 * Opens files and joins those that are not there for serving only.
 *
 * @param open what reads a file
 * @throws OnnxLoraError as `openOnnx`; `MODEL_UNSUPPORTED` when they do not fit together
 */
export function joinFiles({ parts, outputs }: FilesToJoin, open: typeof openOnnx = openOnnx): JoinedFiles {
  const files = parts.map(({ name, file, prefix, onlyServes = false }): ModelFile => {
    const onnx = open(file);
    const missing = prefix === undefined ? '' : missingPath(prefix, pathsOf(onnx));
    return { name, onnx, path: missing, onlyServes };
  });
  const graphs = files.flatMap(({ onnx, path: missing, onlyServes }, i) =>
    onlyServes ? [] : [{ ...parts[i]!, model: underPath(withIdleInputs(onnx.model, parts[i]!.idleInputs), missing) }],
  );
  return { onnx: { path: path.dirname(parts[0]!.file), model: compose(graphs, { outputs }) }, files };
}

/** Whether it is one file, of which nothing would be left out: a model of no parts. */
export function isAsItIs({ parts }: FilesToJoin, open: typeof openOnnx): boolean {
  const [{ file, idleInputs }, ...others] = parts as [FileToJoin, ...FileToJoin[]];
  return others.length === 0 && idleInputsOf(open(file).model.graph, idleInputs).length === 0;
}

function pathsOf({ model }: OnnxFile): string[] {
  return sitesOf(model).map((site) => site.path);
}

function sitesOf(model: OnnxFile['model']): Site[] {
  return findSites(viewOf(model).graph);
}

/** Whether two files call different layers by one path. A layer that both hold, such as shared embeddings, may be one. */
function doCollide(some: readonly Site[], others: readonly Site[]): boolean {
  const known = new Map(some.map((site) => [site.path, site]));
  return others.some((site) => {
    const same = known.get(site.path);
    const [a, b] = [same, site].map((each) => each?.weight.stored.tensors[0].tensor);
    return a !== undefined && !isSameTensor(a, b!);
  });
}

/**
 * The parts of files that a user names without a family: called as the files are, joined in the order given. Where two files
 * call different layers alike, their modules begin with the name of the part.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for two files of one name
 */
export function partsByName(files: readonly string[]): FilesToJoin {
  const names = files.map((file) => path.basename(file, '.onnx'));
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `Two of the model's files are called "${twice}". Parts are told apart by the names of their files: rename one.`,
    );
  }
  const sites = files.map((file) => sitesOf(openOnnx(file).model));
  const collide = sites.some((own, i) => sites.slice(0, i).some((other) => doCollide(other, own)));
  return {
    parts: files.map((file, i) => ({ name: names[i]!, file, ...(collide ? { prefix: names[i]! } : {}) })),
  };
}
