/** @file A graph's modules by torch's paths: adaptable ones, and those that can only be trained in full. */

import { isOfBranch } from '../../graph/branchNames.ts';
import type { GraphProto } from '../../graph/proto.ts';
import type { NamedModule } from '../../lora/targets.ts';
import {
  confidenceOf,
  type PathConfidence,
  pathFromParameter,
  type PathSource,
  copiesParameter,
  scopeOf,
} from '../../match/modulePath.ts';
import type { Site, SiteKind } from '../../match/sites.ts';
import { weightSize } from '../../match/weights/stored.ts';
import { attributeOf } from '../../ops/schema.ts';
import { sizeOf } from '../../runtime/tensor.ts';

/** An adaptable layer in `model.modules()`. */
export interface ModuleInfo {
  /** torch's module path, which target rules match. */
  readonly path: string;
  /** Kind of layer. */
  readonly kind: SiteKind;
  /** Shape as in torch: Linear `[out, in]`, Conv `[out, in / groups, ...kernel]`, Embedding `[vocabulary, dim]`. */
  readonly weightShape: readonly number[];
  /** Groups of a convolution; 1 for other layers. */
  readonly groups: number;
  /** True if it has a bias. */
  readonly bias: boolean;
  /** Number of values in weight and bias. */
  readonly parameters: number;
  /** Name of the ONNX node. */
  readonly node: string;
  /** Name of the weight's ONNX tensor. */
  readonly weight: string;
  /** Source of the path; a `value-name` is not a torch path. */
  readonly pathSource: PathSource;
  /** Reliability of the path: `unknown` if the file has lost it. */
  readonly confidence: PathConfidence;
  /** Storage type of the weight: `float32`, `float16`, `int8` … */
  readonly storage: string;
  /** For queries, keys or values of a fused layer: the path of that layer. */
  readonly partOf?: string;
}

/** Describes a layer to users. */
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

const norms: ReadonlySet<string> = new Set(['InstanceNormalization', 'GroupNormalization']);

/** Layers in order, including parts, then other modules whose parameters keep torch's names, such as norms. */
export function namedModules(graph: GraphProto, layers: readonly Site[]): NamedModule[] {
  const adaptable = new Set(layers.map(({ path }) => path));
  const stored = (graph.initializer ?? []).map(({ name = '' }) => name).filter((name) => !isOfBranch(name));
  const isStored = new Set(stored);
  // Equal parameters are stored once, under the name of one of them.
  const equal = (graph.node ?? []).filter((node) => copiesParameter(node) && isStored.has(node.input?.[0] ?? ''));
  const names = [...stored, ...equal.map(({ output }) => output![0]!)];
  const paths = names.flatMap((name) => pathFromParameter(name, 'weight') ?? pathFromParameter(name, 'bias') ?? []);
  // Exporters fold the weight of a group normalisation, so that only its node's scope names the module.
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
