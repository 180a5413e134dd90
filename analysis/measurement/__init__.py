"""What is measured in the vertebral bodies: size, signal, VBQ score and radiomics."""
