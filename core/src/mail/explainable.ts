/** What `pochard explain` knows to explain. Apart, so that the command line need not load the services for it. */
export const explainable = ['login', 'deliver', 'fetch'] as const;
export type Explainable = (typeof explainable)[number];
