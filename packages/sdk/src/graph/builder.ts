/** @file Emits nodes into a graph. */
export interface Value { readonly name: string }
export interface GraphBuilder { readonly prefix: string }
