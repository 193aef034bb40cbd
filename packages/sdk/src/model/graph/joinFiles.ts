/** @file Joins the graphs of several files into one model. */

import * as path from '../../platform/path.ts';
import { OnnxLoraError } from '../../errors.ts';
import { type OnnxFile, openOnnx } from '../../graph/file/onnxFile.ts';
import { missingPrefix, withPathPrefix } from '../../match/pathPrefix.ts';
import { findSites, type Site } from '../../match/sites.ts';
import { prepareForMatching } from '../../match/view.ts';
import { compose, isSameTensor } from '../../ops/compose/compose.ts';
import { idleInputsOf, withIdleInputs } from '../../ops/compose/idleInputs.ts';
import type { FamilyPart } from '../../plugin/families/family.ts';

/** One of a model's files. */
export interface ModelFile {
  /** Name of the part. */
  readonly name: string;
  /** The file's graph. */
  readonly onnx: OnnxFile;
  /** Prefix of the file's module paths in the joined model; empty if they are the same. */
  readonly path: string;
  /** True if it is not part of the joined graph. */
  readonly onlyServes: boolean;
}

/** A file to open. */
export interface FileToJoin extends FamilyPart {
  readonly file: string;
}

/** Files to join. */
export interface FilesToJoin {
  readonly parts: readonly FileToJoin[];
  /** Outputs to keep; by default those that no part reads. */
  readonly outputs?: readonly string[];
}

/** Several files as one. */
export interface JoinedFiles {
  /** The joined graph, with the files' folder as path. */
  readonly onnx: OnnxFile;
  readonly files: readonly ModelFile[];
}

/**
 * Opens files and joins those that do not only serve.
 * @param open reads a file
 * @throws OnnxLoraError as `openOnnx`; `MODEL_UNSUPPORTED` if they do not fit together
 */
export function joinFiles({ parts, outputs }: FilesToJoin, open: typeof openOnnx = openOnnx): JoinedFiles {
  const files = parts.map(({ name, file, prefix, onlyServes = false }): ModelFile => {
    const onnx = open(file);
    const missing =
      prefix === undefined
        ? ''
        : missingPrefix(
            prefix,
            sitesOf(onnx.model).map((site) => site.path),
          );
    return { name, onnx, path: missing, onlyServes };
  });
  const graphs = files.flatMap(({ onnx, path: missing, onlyServes }, i) =>
    onlyServes
      ? []
      : [{ ...parts[i]!, model: withPathPrefix(withIdleInputs(onnx.model, parts[i]!.idleInputs), missing) }],
  );
  return { onnx: { path: path.dirname(parts[0]!.file), model: compose(graphs, { outputs }) }, files };
}

/** True for a single file that joining would leave unchanged. */
export function needsNoJoin({ parts }: FilesToJoin, open: typeof openOnnx): boolean {
  const [{ file, idleInputs }, ...others] = parts as [FileToJoin, ...FileToJoin[]];
  return others.length === 0 && idleInputsOf(open(file).model.graph, idleInputs).length === 0;
}

function sitesOf(model: OnnxFile['model']): Site[] {
  return findSites(prepareForMatching(model).graph);
}

/** True if two files use one path for different layers, that is, not for shared ones such as embeddings. */
function doCollide(some: readonly Site[], others: readonly Site[]): boolean {
  const known = new Map(some.map((site) => [site.path, site]));
  return others.some((site) => {
    const same = known.get(site.path);
    const [a, b] = [same, site].map((each) => each?.weight.stored.tensors[0].tensor);
    return a !== undefined && !isSameTensor(a, b!);
  });
}

/**
 * Parts from files that a user names without a family, named after the files and joined in order. If paths collide,
 * modules get the part's name as prefix.
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
