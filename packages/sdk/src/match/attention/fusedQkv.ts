/** @file Sites for the queries, keys and values of a fused layer. */

import type { ValueType } from '../../graph/value.ts';
import { append, type GraphIndex } from '../../graph/walk.ts';
import { attentionParts, attentionRole } from './attentionParts.ts';
import { attendedBy, nextAmong } from './attentionRoles.ts';
import { type NonMatch, nodeLabel } from '../mismatch.ts';
import type { Site } from '../site.ts';
import { partPaths, type Projection, projectionNamesLike } from '../structuralPath.ts';
import { fusedFrom } from '../view.ts';
import { type Runs, runsOf } from '../weights/index.ts';

/** The sites, with the parts of each fused QKV layer behind it. */
export function withParts(sites: readonly Site[]): readonly Site[] {
  return sites.flatMap((site) => [site, ...(site.parts ?? [])]);
}

/** Adds q, k and v parts to fused layers, under new paths. @param unsplit called with each unsplit layer and why */
export function findParts(
  sites: readonly Site[],
  index: GraphIndex,
  typeOf: (value: string) => ValueType | undefined,
  unsplit?: (site: Site, reason: string) => void,
): Site[] {
  const paths = new Set(sites.map(({ path }) => path));
  const pathBehind = pathsBehind(sites, index);
  return sites.map((site) => {
    const explain = (reason: string): void => unsplit?.(site, reason);
    const found = site.foldedScale ? undefined : attentionParts(site, unsplit ? { ...index, explain } : index, typeOf);
    const path = site.pathSource === 'value-name' ? undefined : site.path;
    const named =
      found &&
      partPaths({ path, attended: found.attended, outputPath: pathBehind(found.attended), constants: index.constants });
    if (found && !named) explain('neither it nor the layer behind its attention has a name that its parts could take');
    if (!named) return site;
    const { attention, names } = named;
    const parts = [...found.outputs].map(([as, outputs]) => {
      const path = `${attention}.${names[as]}`;
      const own = (place: Site): Site => partOf(place, { path, as, attention, outputs, whole: site.path });
      return { ...own(site), alsoAt: site.alsoAt.map(own) };
    });
    const areNew = parts.every(({ path }) => !paths.has(path));
    if (!areNew) explain('the model has other modules with the names that its parts would take');
    for (const { path } of parts) paths.add(path);
    return areNew ? { ...site, parts } : site;
  });
}

/** Layers that look fused but are not split, with the reasons. */
export function unsplitLayers(
  sites: readonly Site[],
  index: GraphIndex,
  typeOf: (value: string) => ValueType | undefined,
): NonMatch[] {
  const found: NonMatch[] = [];
  findParts(sites, index, typeOf, ({ node }, reason) => found.push({ pattern: 'fused QKV', at: nodeLabel(node), reason })); // prettier-ignore
  return found;
}

/** Returns a function that finds the path of the layer that reads values without another product in between. */
function pathsBehind(sites: readonly Site[], index: GraphIndex): (values: readonly string[]) => string | undefined {
  const readers = new Map(sites.flatMap((site) => [site, ...site.alsoAt]).map((site) => [site.input, site]));
  return (values) => {
    const read = values.map((value) => nextAmong(value, index, (each) => readers.has(each)));
    const reader = read.map((value) => readers.get(value ?? '')).find((each) => each !== undefined);
    return reader?.pathSource === 'value-name' ? undefined : reader?.path;
  };
}

/**
 * The sites, with unnamed projections renamed by the role they have in the attention. Layers that an optimizer has
 * joined are unpacked before and have no names; others have lost theirs, such as one without a bias.
 */
export function withProjections(
  sites: readonly Site[],
  index: GraphIndex,
  typeOf: (value: string) => ValueType | undefined,
): Site[] {
  const isUnnamed = ({ pathSource, kind }: Site): boolean => pathSource === 'value-name' && kind === 'linear';
  if (!sites.some(isUnnamed)) return [...sites];
  const attentions = new Map<string, Member[]>();
  for (const site of sites) {
    const role = attentionRole(site, index, typeOf);
    const attended = role && attendedBy(role.output, index);
    if (attended !== undefined) append(attentions, attended, { site, as: role!.as });
  }
  const paths = new Set(sites.map(({ path }) => path));
  const pathBehind = pathsBehind(sites, index);
  const renamed = new Map<Site, Site>();
  for (const [attended, members] of attentions) {
    const unnamed = members.filter(({ site }) => isUnnamed(site));
    // Layers that compute queries together with something else, or twice, would need another name each.
    if (unnamed.length === 0 || new Set(members.map(({ as }) => as)).size < members.length) continue;
    const named =
      namedBeside(members.filter(({ site }) => !isUnnamed(site))) ??
      (members.length === 3 || members.every(({ site }) => fusedFrom(site.node)?.opType === 'MatMul')
        ? partPaths({ path: undefined, attended: [attended], outputPath: pathBehind([attended]), constants: index.constants }) // prettier-ignore
        : undefined);
    const own = unnamed.flatMap(({ as }) => (named ? [`${named.attention}.${named.names[as]}`] : []));
    if (own.length === 0 || own.some((path) => paths.has(path))) continue;
    for (const path of own) paths.add(path);
    unnamed.forEach(({ site, as }, i) => {
      const name = { path: own[i]!, pathSource: 'structure', projection: { of: named!.attention, as } } as const;
      renamed.set(site, { ...site, ...name, alsoAt: site.alsoAt.map((place) => ({ ...place, ...name })) });
    });
  }
  return sites.map((site) => renamed.get(site) ?? site);
}

/** A layer with its role in an attention. */
interface Member {
  readonly site: Site;
  readonly as: Projection;
}

/** Names in the attention of projections that have one. */
function namedBeside(members: readonly Member[]): ReturnType<typeof partPaths> {
  const [first, ...others] = members.map(({ site: { path }, as }) => {
    const at = path.lastIndexOf('.');
    return { attention: path.slice(0, Math.max(0, at)), names: projectionNamesLike(path.slice(at + 1), as) };
  });
  const { attention, names } = first ?? {};
  if (!attention || !names) return undefined;
  const areAlike = others.every((other) => other.attention === attention && other.names?.q === names.q);
  return areAlike ? { attention, names } : undefined;
}

function partOf(
  place: Site,
  {
    path,
    as,
    attention,
    outputs,
    whole,
  }: {
    readonly path: string;
    readonly as: Projection;
    readonly attention: string;
    readonly outputs: Runs;
    readonly whole: string;
  },
): Site {
  const [total = 0, width = 0] = place.weightShape;
  const { weight, bias } = place;
  return {
    ...place,
    path,
    pathSource: 'structure',
    weightShape: [outputs.size * outputs.count, width],
    weight: { ...weight, stored: runsOf(weight.stored, weight.layout === 'in-out' ? 1 : 0, outputs) },
    ...(bias ? { bias: { ...bias, stored: runsOf(bias.stored, bias.stored.dims.length - 1, outputs) } } : {}),
    projection: { of: attention, as },
    part: { ...outputs, of: whole, total },
    alsoAt: [],
  };
}
