/** @file The modules of a graph by torch's paths: those that can be adapted, and those that can only be trained in full. */

import { isOfBranch } from '../../graph/branchNames.ts';
import type { GraphProto } from '../../graph/proto.ts';
import type { NamedModule } from '../../lora/targets.ts';
import {
  confidenceOf,
  type PathConfidence,
  pathFromParameter,
  type PathSource,
  scopeOf,
} from '../../match/modulePath.ts';
import type { Site, SiteKind } from '../../match/sites.ts';
import { weightSize } from '../../match/weights/stored.ts';
import { attributeOf } from '../../ops/schema.ts';
import { sizeOf } from '../../runtime/tensor.ts';

/** What `model.modules()` says of one adaptable layer. */
export interface ModuleInfo {
  /** torch's module path, against which target rules are matched. */
  readonly path: string;
  /** What kind of layer it is. */
  readonly kind: SiteKind;
  /** As torch has it: Linear `[out, in]`, Conv `[out, in / groups, ...kernel]`, Embedding `[vocabulary, dim]`. */
  readonly weightShape: readonly number[];
  /** Into how many groups a convolution splits its channels; 1 for all else. */
  readonly groups: number;
  /** Whether it has a bias. */
  readonly bias: boolean;
  /** How many numbers the weight and bias hold. */
  readonly parameters: number;
  /** Name of the ONNX node. */
  readonly node: string;
  /** Name of the ONNX tensor that holds the weight. */
  readonly weight: string;
  /** What the path was read from; a `value-name` is not a torch path at all. */
  readonly pathSource: PathSource;
  /** How sure the path is: `unknown` where the file has lost it. */
  readonly confidence: PathConfidence;
  /** How the weight is stored: `float32`, `float16`, `int8` … */
  readonly storage: string;
  /**
   * Of queries, keys or values that are one layer of the model with others: the path of that layer, whose weight the
   * parameters are part of.
   */
  readonly partOf?: string;
}

/** What users are told of a layer. */
export function describeModule({ path, kind, weightShape, weight, bias, node, pathSource, part }: Site): ModuleInfo {
  return {
    path,
    kind,
    weightShape,
    groups: kind.startsWith('conv') ? attributeOf(node, 'group') : 1,
    bias: bias !== undefined,
    parameters: sizeOf(weightShape) + (bias ? weightSize(bias.stored) : 0),
    node: node.name ?? '',
    weight: weight.stored.tensors[0].name,
    pathSource,
    confidence: confidenceOf(pathSource),
    storage: weight.stored.storage,
    ...(part ? { partOf: part.of } : {}),
  };
}

/** Operators of group normalisations. */
const norms: ReadonlySet<string> = new Set(['InstanceNormalization', 'GroupNormalization']);

/** Layers in their order, parts among them, then other modules whose parameters the graph holds under torch's names, such as norms. */
export function namedModules(graph: GraphProto, layers: readonly Site[]): NamedModule[] {
  const adaptable = new Set(layers.map(({ path }) => path));
  const names = (graph.initializer ?? []).map(({ name = '' }) => name).filter((name) => !isOfBranch(name));
  const paths = names.flatMap((name) => pathFromParameter(name, 'weight') ?? pathFromParameter(name, 'bias') ?? []);
  // An exporter folds the weight of a group normalisation, which then has no name: its node's scope is the module's path.
  const scopes = (graph.node ?? []).flatMap((node) => (norms.has(node.opType ?? '') ? (scopeOf(node) ?? []) : []));
  const others = [...new Set([...paths, ...scopes])].filter((path) => !adaptable.has(path));
  return [
    ...layers.map(({ path, kind, part, projection }) => ({
      path,
      kind,
      ...(projection ? { projection: projection.as } : {}),
      ...(part ? { partOf: part.of } : {}),
    })),
    ...others.map((path) => ({ path, kind: 'other' })),
  ];
}
