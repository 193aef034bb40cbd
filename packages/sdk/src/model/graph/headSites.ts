/** @file Finds the layers of a model's head. */

import type { GraphProto } from '../../graph/proto.ts';
import { indexWhole } from '../../graph/walk.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';

/** Unary operators that keep the shape, or permute dimensions. */
export const unary: ReadonlySet<string> = new Set([
  'Identity', 'Cast', 'Neg', 'Relu', 'Sigmoid', 'HardSigmoid', 'Tanh', 'Softplus', 'Exp', 'Log', 'Sqrt', 'Clip', 'Dropout',
  'Softmax', 'LogSoftmax', 'Transpose', 'Squeeze', 'Unsqueeze', 'Flatten',
]); // prettier-ignore
/** Broadcasting operators. */
export const broadcasting: ReadonlySet<string> = new Set([
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Max',
  'Min',
  'Mean',
  'Sum',
  'Pow',
]);
/** Operators that choose or join values along an axis, such as one layer's scores of several layers'. */
export const selecting: ReadonlySet<string> = new Set(['Gather', 'Slice', 'Concat']);
/** Operators with constant shape inputs. */
export const reshaping: ReadonlySet<string> = new Set(['Reshape', 'Expand', 'Resize']);

/** True if a layer can be a head: it computes one number or map per output, in each of its calls. */
export function canBeHead(site: Site): boolean {
  return occurrencesOf(site).every(({ kind, arrange }) => (kind === 'linear' || kind === 'conv2d') && !arrange);
}

/**
 * The layers that compute `output`, up to reshaping, scaling, softmax, means of several heads, and a choice among heads'
 * results. A layer of one output that is added to the scores, such as a quality, is none of them.
 */
export function headSites(graph: GraphProto, sites: readonly Site[], output: string): readonly Site[] {
  const { producer, constants } = indexWhole(graph);
  const byValue = new Map(
    sites.flatMap((site) =>
      occurrencesOf(site).flatMap((call) => [[call.product, site] as const, [call.output, site] as const]),
    ),
  );
  const inMain = new Set(graph.node);
  const found = new Set<Site>();
  // Memoised: chains of Add(x, x) would take exponential time.
  const known = new Map<string, boolean>();
  const isHead = (value: string): boolean => {
    const before = known.get(value);
    if (before !== undefined) return before;
    known.set(value, false);
    const answer = look(value);
    known.set(value, answer);
    return answer;
  };
  const look = (value: string): boolean => {
    const site = byValue.get(value);
    if (site) found.add(site);
    if (site) return canBeHead(site) && occurrencesOf(site).every((call) => inMain.has(call.node));
    const node = producer.get(value);
    const { opType = '', input = [] } = node ?? {};
    const isOfFirst = unary.has(opType) || reshaping.has(opType) || (selecting.has(opType) && opType !== 'Concat');
    if (isOfFirst) return isHead(input[0]!);
    if (opType === 'Concat') return input.every(isHead);
    const computed = input.filter((name) => name && !constants.has(name));
    return broadcasting.has(opType) && computed.length > 0 && computed.every(isHead);
  };
  const every = isHead(output) ? [...found] : [];
  const most = Math.max(...every.map(({ weightShape: [out] }) => out!));
  const all = every.filter(({ weightShape: [out] }) => out === most || out !== 1);
  return all.every(({ weightShape: [out] }) => out === all[0]!.weightShape[0]) ? all : [];
}

/** The last layers before a value: those that compute it without another layer between, nearest first. */
export function layersBehind(graph: GraphProto, sites: readonly Site[], value: string): readonly Site[] {
  const { producer, constants } = indexWhole(graph);
  const byValue = new Map(sites.flatMap((site) => [[site.output, site] as const, [site.product, site] as const]));
  const found = new Set<Site>();
  const seen = new Set([value]);
  // A Set iterates over members added meanwhile.
  for (const name of seen) {
    const site = byValue.get(name);
    if (site) found.add(site);
    else for (const input of producer.get(name)?.input ?? []) if (input && !constants.has(input)) seen.add(input);
  }
  return [...found];
}

/**
 * The first layer of the head that computes `output`, by the first name of the layers' paths (`lm_head.dense`,
 * `lm_head.decoder`). Undefined without a head, if no other layers precede it, or if it reads several values.
 */
export function firstOfHead(graph: GraphProto, sites: readonly Site[], output: string): Site | undefined {
  const behind = (value: string): readonly Site[] => layersBehind(graph, sites, value);
  const nameOf = ({ path }: Site): string => path.split('.', 1)[0]!;
  const [last] = behind(output);
  if (!last) return undefined;
  const firsts = new Set<Site>();
  let hasOthers = false;
  const head = new Set(behind(output));
  for (const site of head) {
    const before = behind(site.input);
    const own = before.filter((each) => nameOf(each) === nameOf(last));
    if (before.length > own.length) hasOthers = true;
    if (own.length === 0) firsts.add(site);
    for (const each of own) head.add(each);
  }
  const [first] = firsts;
  const isOne = first && [...firsts].every(({ input }) => input === first.input);
  return isOne && hasOthers && [...head].every((site) => nameOf(site) === nameOf(last)) ? first : undefined;
}
