"""Figures printed in the papers, one file for each paper that has tables of them; each can be counted anew."""
