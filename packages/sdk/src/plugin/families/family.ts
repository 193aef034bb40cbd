/** @file The contract of a model family: data, not code. */

import type { NameTable } from '../../adapter/naming/nameTable.ts';
import type { GraphProto } from '../../graph/proto.ts';
import type { GraphEdge } from '../../graph/stopGradients.ts';

/** Facts by which a family is recognised. */
export interface ModelFacts {
  /** Parsed `config.json` of the model's folder; absent for a single .onnx file. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Module paths of the graph, such as `vit.encoder.layer.0.attention.attention.query`. */
  readonly modulePaths: readonly string[];
}

/** A model family such as ViT: how to recognise it, the roles of its modules, and which to adapt. */
export interface ModelFamily {
  /** `model_type` in config.json; also the family's file name. */
  readonly name: string;
  /** Its domain package, such as `vision`. */
  readonly domain: string;
  /** True when the model belongs to this family. The first family to return true wins. */
  matches(facts: ModelFacts): boolean;
  /**
   * Patterns of whole module paths by role, for transformers 4 and 5. The SDK itself uses only `embedding.output`.
   * `{ 'attention.query': [/.*\.attention\.attention\.query/, /.*\.attention\.q_proj/] }`
   */
  readonly roles: Readonly<Record<string, readonly RegExp[]>>;
  /** Roles adapted when the user gives no targets, as the literature chooses for this family. */
  readonly defaultTargets: readonly string[];
  /** Names of modules in transformers 4 and 5, where they differ, so that adapters load on and save for either. */
  readonly generations?: readonly NameTable[];
  /** Names of its tasks, the most common first: `image-classification`. */
  readonly tasks: readonly string[];
  /** Edges at which torch stops gradients (`detach`), which no export shows; by default gradients flow everywhere. */
  readonly stopGradients?: (model: FamilyGraph) => readonly GraphEdge[];
  /** Files of a model that is published in several, which `openModel` joins. */
  readonly files?: FamilyFiles;
}

/** The graph of a family's model. */
export interface FamilyGraph {
  /** The graph, in topological order. */
  readonly graph: GraphProto;
  /** Its layers with weights, each call on its own, in graph order. */
  readonly layers: readonly FamilyLayer[];
}

/** A call of a layer. */
export interface FamilyLayer {
  /** Path of its module. */
  readonly path: string;
  /** Name of the value that it reads. */
  readonly input: string;
  /** Name of its result, with the bias added. */
  readonly output: string;
}

/** The files of a model, and how they are joined. */
export interface FamilyFiles {
  /** The parts; each reads only from earlier ones. */
  readonly parts: readonly FamilyPart[];
  /** Outputs of the joined model; by default those that no part reads. */
  readonly outputs?: readonly string[];
  /** True to prefer parts over a single file, for those only used in serving, such as a decoder with a cache. */
  readonly arePreferred?: boolean;
}

/** One file of a model. */
export interface FamilyPart {
  /** Name for `model.part`, after the published file: `vision_encoder`. */
  readonly name: string;
  /** Alternative file names without `.onnx`, in order of preference. */
  readonly alsoNamed?: readonly string[];
  /** Path of the part's modules in the whole model: `model.encoder`. Separate exports start at their own root. */
  readonly prefix?: string;
  /** For an input, the output of an earlier part that it reads, where their names differ. */
  readonly reads?: Readonly<Record<string, string>>;
  /** Names of inputs in the joined model, where they differ. */
  readonly inputNames?: Readonly<Record<string, string>>;
  /**
   * Inputs that the joined model lacks. There, flags are false and tensors with a dynamic dimension are empty, such as
   * the initial past of a decoder. A single-file model without such inputs has no parts.
   */
  readonly idleInputs?: RegExp;
  /** True for an optional file outside of the joined model, only for serving. Adapters are merged into it too. */
  readonly onlyServes?: boolean;
  /** True for a part that reads nothing from others, such as a text tower next to an image tower. */
  readonly standsAlone?: boolean;
}

/** Role of the layer of a language model's logits, which PEFT excludes from `all-linear`; not in all families. */
export const OUTPUT_EMBEDDING = 'embedding.output';

/** The default targets of `family` among `modulePaths`. */
export function defaultTargetPaths(family: ModelFamily, modulePaths: readonly string[]): string[] {
  return pathsOfRoles(family, family.defaultTargets, modulePaths);
}

/** The `modulePaths` that have one of these roles in a family. */
export function pathsOfRoles(
  { roles }: Pick<ModelFamily, 'roles'>,
  wanted: readonly string[],
  modulePaths: readonly string[],
): string[] {
  const patterns = wanted.flatMap((role) => (roles[role] ?? []).map(({ source }) => new RegExp(`^(?:${source})$`)));
  return modulePaths.filter((path) => patterns.some((pattern) => pattern.test(path)));
}
