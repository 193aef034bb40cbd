/** @file What the SDK must know of a model family. One file implements one family; it is data, not code. */

import type { NameTable } from '../../adapter/naming/nameTable.ts';

/** The facts by which a family is recognised. */
export interface ModelFacts {
  /** `config.json` of the model's folder, parsed; absent when the model is a lone .onnx file. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Module paths found in the graph, such as `vit.encoder.layer.0.attention.attention.query`. */
  readonly modulePaths: readonly string[];
}

/** A model family such as ViT: how it is recognised, what its modules are for, and what is worth adapting. */
export interface ModelFamily {
  /** `model_type` in config.json; also the family's file name. */
  readonly name: string;
  /** Domain package that brings it, such as `vision`. */
  readonly domain: string;
  /** True when the model belongs to this family. The first family that says so wins. */
  matches(facts: ModelFacts): boolean;
  /**
   * Roles of modules by name: a regular expression, matched against the whole module path, for every generation of
   * names (transformers 4 and 5). `{ 'attention.query': [/.*\.attention\.attention\.query/, /.*\.attention\.q_proj/] }`
   *
   * One role means something to the SDK: `embedding.output`.
   */
  readonly roles: Readonly<Record<string, readonly RegExp[]>>;
  /** Roles that are adapted when the user names no targets, in the literature's choice for this family. */
  readonly defaultTargets: readonly string[];
  /**
   * What transformers 4 and 5 call the same modules, where that differs. Adapters then load on a graph of either, and are
   * saved for either.
   */
  readonly generations?: readonly NameTable[];
  /** Names of the tasks that make sense for it, the usual one first: `image-classification`. */
  readonly tasks: readonly string[];
  /** How it is published when that is as several files; `openModel` joins them. */
  readonly files?: FamilyFiles;
}

/** The files that a model is published as, and how they belong together. */
export interface FamilyFiles {
  /** Each reads only from those before it. */
  readonly parts: readonly FamilyPart[];
  /** Outputs of the joined model, by name; without, those that no part reads. */
  readonly outputs?: readonly string[];
  /**
   * True to take the parts also where the folder has the whole model in one file beside them: what serves, such as a decoder
   * that goes on from what it has kept, is then there too. The one file by default.
   */
  readonly arePreferred?: boolean;
}

/** One of the files of a model. */
export interface FamilyPart {
  /** How `model.part` calls it, which is what published files are called: `vision_encoder`. */
  readonly name: string;
  /** Names that the file may have instead, without `.onnx`, in order of preference. */
  readonly alsoNamed?: readonly string[];
  /**
   * Where in the whole model the part's modules are: `model.encoder`. Files that were exported by themselves begin at their
   * own root, and adapters of the whole find them all the same.
   */
  readonly prefix?: string;
  /** Which output of an earlier part an input reads, where they have different names. */
  readonly reads?: Readonly<Record<string, string>>;
  /** What inputs are called in the joined model, where that differs. */
  readonly inputNames?: Readonly<Record<string, string>>;
  /**
   * Names of inputs that the joined model does not have. There flags are false, and tensors with a size that is only known at
   * run time have no elements, as the past of a decoder that begins. A model in one file without such inputs has no parts.
   */
  readonly idleInputs?: RegExp;
  /**
   * True for a file that only serves, such as a decoder that goes on from what it has kept: it may be absent, and is no part
   * of the joined model. Adapters are merged into it too.
   */
  readonly onlyServes?: boolean;
  /** True for a part that reads nothing of the others, such as the tower for texts beside that for images. */
  readonly standsAlone?: boolean;
}

/**
 * The role of the layer that makes a language model's logits of its states: what transformers calls the output embedding, and
 * PEFT leaves out of `all-linear`. A family without the role has none.
 */
export const OUTPUT_EMBEDDING = 'embedding.output';

/** The default targets of `family` as module paths that exist in `modulePaths`. */
export function defaultTargetPaths(family: ModelFamily, modulePaths: readonly string[]): string[] {
  return pathsOfRoles(family, family.defaultTargets, modulePaths);
}

/** Those of `modulePaths` that have one of these roles in a family. */
export function pathsOfRoles(
  { roles }: Pick<ModelFamily, 'roles'>,
  wanted: readonly string[],
  modulePaths: readonly string[],
): string[] {
  const patterns = wanted.flatMap((role) => (roles[role] ?? []).map(({ source }) => new RegExp(`^(?:${source})$`)));
  return modulePaths.filter((path) => patterns.some((pattern) => pattern.test(path)));
}
