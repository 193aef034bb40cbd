/** @file The rules of each kind of layer. */

import type { Site, SiteKind } from '../../match/sites.ts';
import { conv, convTranspose } from './conv.ts';
import { embedding, linear } from './linear.ts';
import type { LayerKind } from './kind.ts';
import { parameter, recurrent } from './parameter.ts';

const kinds: Readonly<Record<SiteKind, LayerKind>> = {
  linear,
  conv1d: conv,
  conv2d: conv,
  conv3d: conv,
  convTranspose1d: convTranspose,
  convTranspose2d: convTranspose,
  embedding,
  parameter,
};

/** The rules for a site. */
export function kindOf(site: Site): LayerKind {
  return site.recurrent ? recurrent : kinds[site.kind];
}
