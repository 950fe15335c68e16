"""Layers and networks: the modules with parameters."""

from edgewise.nn.affine import Affine as Affine
from edgewise.nn.blocks.attention import KANAttention as KANAttention
from edgewise.nn.blocks.conv import KANConv1d as KANConv1d, KANConv2d as KANConv2d, KANConv3d as KANConv3d
from edgewise.nn.blocks.conv_transpose import (
    KANConvTranspose1d as KANConvTranspose1d,
    KANConvTranspose2d as KANConvTranspose2d,
    KANConvTranspose3d as KANConvTranspose3d,
)
from edgewise.nn.blocks.feedforward import KANFeedForward as KANFeedForward
from edgewise.nn.blocks.mixture import MixtureOfKANs as MixtureOfKANs
from edgewise.nn.blocks.normed import NormedKANLinear as NormedKANLinear
from edgewise.nn.blocks.rational import GroupRational as GroupRational
from edgewise.nn.blocks.recurrent import TKAN as TKAN, TKANCell as TKANCell
from edgewise.nn.blocks.revin import RevIN as RevIN
from edgewise.nn.integer import IntegerEdges as IntegerEdges, IntegerKAN as IntegerKAN
from edgewise.nn.kan import KAN as KAN
from edgewise.nn.layers import EdgeKey as EdgeKey
from edgewise.nn.library import DEFAULT_LIBRARY as DEFAULT_LIBRARY
from edgewise.nn.linear import Adapter as Adapter, KANLinear as KANLinear
from edgewise.nn.products import ProductNodes as ProductNodes
from edgewise.nn.slim import SlimKANLinear as SlimKANLinear
from edgewise.nn.surface import Surface as Surface
from edgewise.nn.symbolic import Library as Library, SymbolicEdges as SymbolicEdges, SymbolicFn as SymbolicFn
from edgewise.nn.which_kernels import which_kernels as which_kernels

__all__ = [
    "DEFAULT_LIBRARY",
    "KAN",
    "TKAN",
    "Adapter",
    "Affine",
    "EdgeKey",
    "GroupRational",
    "IntegerEdges",
    "IntegerKAN",
    "KANAttention",
    "KANConv1d",
    "KANConv2d",
    "KANConv3d",
    "KANConvTranspose1d",
    "KANConvTranspose2d",
    "KANConvTranspose3d",
    "KANFeedForward",
    "KANLinear",
    "Library",
    "MixtureOfKANs",
    "NormedKANLinear",
    "ProductNodes",
    "RevIN",
    "SlimKANLinear",
    "Surface",
    "SymbolicEdges",
    "SymbolicFn",
    "TKANCell",
    "which_kernels",
]
