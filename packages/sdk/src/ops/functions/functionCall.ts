/** @file Instantiates the body of a function for one call. */

import type { AttributeProto, FunctionProto, GraphProto, NodeProto, ValueInfoProto } from '../../graph/proto.ts';
import { withInner, withValueNames } from '../../graph/uniqueNames.ts';
import { isStandard } from '../domains.ts';

/** The body of a function at one call. */
export interface CallBody {
  readonly nodes: readonly NodeProto[];
  /** Declared types of its values, by new name. */
  readonly valueInfo: readonly ValueInfoProto[];
  /** New names in the graph. */
  readonly names: readonly string[];
}

/**
 * The body of `called` for one call. Formal inputs and outputs become the call's; other values and nodes are named
 * `<scope>/<name>`. Referenced attributes take the call's value, else the default, else they are dropped.
 */
export function functionCall(call: NodeProto, called: FunctionProto, scope: string): CallBody {
  const names = new Map<string, string>();
  const passed: NodeProto[] = [];
  (called.input ?? []).forEach((formal, i) => names.set(formal, call.input?.[i] ?? ''));
  (called.output ?? []).forEach((formal, i) => {
    const actual = call.output?.[i];
    if (!actual) return;
    // A passed-through input or repeated output needs an Identity.
    const given = names.get(formal);
    if (given === undefined) names.set(formal, actual);
    else passed.push({ name: `${scope}/Identity_${i}`, opType: 'Identity', input: [given], output: [actual] });
  });
  const attributes = new Map((called.attributeProto ?? []).map((each) => [each.name ?? '', each]));
  for (const each of call.attribute ?? []) attributes.set(each.name ?? '', each);

  const value = (name: string): string => (name === '' ? '' : (names.get(name) ?? `${scope}/${name}`));
  const resolved = ({ refAttrName, ...attribute }: AttributeProto): AttributeProto[] => {
    if (!refAttrName) return [attribute];
    const given = attributes.get(refAttrName);
    return given ? [{ ...given, ...(attribute.name === undefined ? {} : { name: attribute.name }) }] : [];
  };
  const inBody = (node: NodeProto, i: number): NodeProto => {
    const { attribute = [], ...own } = withInner(node, innerGraph);
    return {
      ...own,
      name: `${scope}/${node.name || unnamed(node, i)}`,
      input: (node.input ?? []).map(value),
      output: (node.output ?? []).map(value),
      attribute: attribute.flatMap(resolved),
    };
  };
  const innerGraph = (graph: GraphProto): GraphProto => ({
    ...withValueNames({ ...graph, node: [] }, value),
    node: (graph.node ?? []).map(inBody),
  });
  const scopes = call.metadataProps;
  const nodes = [
    ...(called.node ?? []).map((node, i) => {
      const placed = inBody(node, i);
      return placed.metadataProps?.length || !scopes ? placed : { ...placed, metadataProps: scopes };
    }),
    ...passed,
  ];
  const inner = (called.valueInfo ?? []).filter(({ name = '' }) => !names.has(name));
  return {
    nodes,
    valueInfo: inner.map((info) => ({ ...info, name: value(info.name ?? '') })),
    names: nodes.flatMap(({ name, output }) => [name ?? '', ...(output ?? [])]),
  };
}

/** Identifies a function, and the function that a call means. */
export function functionKey(id: Pick<FunctionProto, 'domain' | 'name' | 'overload'>): string {
  const { domain, name = '', overload = '' } = id;
  return [isStandard(domain) ? '' : domain, name, overload].join('\n');
}

/** Default name of a node of a body, by operator and index. */
export function unnamed({ opType = '' }: NodeProto, index: number): string {
  return `${opType}_${index}`;
}
